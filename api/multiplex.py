"""Docker's framing of two outputs in one stream (stdcopy): pure.

A frame is a byte for the stream (1 stdout, 2 stderr), three zero bytes, the length of the payload in four bytes
(big endian), and the payload.
"""

STDOUT = 1
STDERR = 2
HEADER = 8


def frame(stream: int, payload: bytes) -> bytes:
    """One frame."""
    return bytes((stream, 0, 0, 0)) + len(payload).to_bytes(4, "big") + payload


class Unframer:
    """Takes frames, cut anywhere, and gives the payloads of one of the two outputs, or of both (None)."""

    def __init__(self, stream: int | None) -> None:
        self._stream = stream
        self._header = bytearray()
        self._left = 0  # bytes of the payload that have not come yet

    def feed(self, data: bytes) -> bytes:
        """What came of the wanted output."""
        payload = bytearray()
        position = 0
        while position < len(data):
            if not self._left:
                header = data[position : position + HEADER - len(self._header)]
                self._header += header
                position += len(header)
                if len(self._header) < HEADER:
                    break
                self._left = int.from_bytes(self._header[4:], "big")
            part = data[position : position + self._left]
            if self._stream in (None, self._header[0]):
                payload += part
            position += len(part)
            self._left -= len(part)
            if not self._left:
                self._header.clear()
        return bytes(payload)
