"""The words a shim, its zygote and the daemon exchange: framing alone, no sockets. docs/shim-protocol.md has
the meaning.

A *message* is a u32 length (big endian) and fields joined by NUL bytes. A connection that became a *stream*
carries stdin towards the shim as u32-framed chunks, of which an empty one is the end of stdin (so that a
lost connection is not mistaken for it), and output from the shim as stdcopy frames, or raw bytes for a
terminal.
"""

from __future__ import annotations

VERSION = 1
MAX_MESSAGE = 1 << 17
STDOUT, STDERR = 1, 2
STREAM_NAMES = {STDOUT: b"stdout", STDERR: b"stderr"}


class ProtocolError(Exception):
    """The peer does not speak this protocol; its connection is closed."""


def encode(*fields: str | bytes | int) -> bytes:
    """Return one message. Raises ValueError when a field holds a NUL byte or the whole is over
    MAX_MESSAGE.
    """
    parts = [
        field if isinstance(field, bytes) else str(field).encode("utf-8", "surrogateescape")
        for field in fields
    ]
    body = b"\0".join(parts)
    if body.count(b"\0") != len(parts) - 1:
        raise ValueError("a field holds a NUL byte")
    if len(body) > MAX_MESSAGE:
        raise ValueError(f"message of {len(body)} bytes is over {MAX_MESSAGE}")
    return len(body).to_bytes(4, "big") + body


class Decoder:
    """Cuts a byte stream into messages, one at a time: a connection may turn into a stream after any of
    them.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Add what was received."""
        self._buffer += data

    def next(self) -> list[bytes] | None:
        """Return the fields of the next whole message, None when there is none. Raises ProtocolError."""
        if len(self._buffer) < 4:
            return None
        size = int.from_bytes(self._buffer[:4], "big")
        if size > MAX_MESSAGE:
            raise ProtocolError(f"message of {size} bytes is over {MAX_MESSAGE}")
        if len(self._buffer) < 4 + size:
            return None
        body = bytes(self._buffer[4 : 4 + size])
        del self._buffer[: 4 + size]
        return body.split(b"\0")

    def rest(self) -> bytes:
        """Take the bytes behind the last message: they belong to the stream."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data


def input_header(size: int) -> bytes:
    """Return the head of a stdin chunk of `size` bytes, which follow. Size 0 tells the end of stdin."""
    return size.to_bytes(4, "big")


class InputDecoder:
    """Takes stdin out of its frames; a chunk is passed on before it is complete."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """Return the stdin bytes in `data`. `ended` is set once the end of stdin was read; later bytes are
        dropped.
        """
        chunks: list[bytes] = []
        position = 0
        while position < len(data) and not self.ended:
            if self._left:
                chunks.append(data[position : position + self._left])
                position += len(chunks[-1])
                self._left -= len(chunks[-1])
                continue
            missing = 4 - len(self._head)
            self._head += data[position : position + missing]
            position += missing
            if len(self._head) == 4:
                self._left = int.from_bytes(self._head, "big")
                self._head = b""
                self.ended = self._left == 0
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def output_header(stream: int, size: int) -> bytes:
    """Return the stdcopy header of `size` bytes of STDOUT or STDERR."""
    return bytes((stream, 0, 0, 0)) + size.to_bytes(4, "big")


def encode_exit(code: int, at: int, *, oom: bool, reason: str = "") -> bytes:
    """Return the contents of an `exit` file: code, unix ns, out of memory, and why no more is known."""
    return f"{code} {at} {int(oom)} {reason}\n".encode()


def decode_exit(data: bytes) -> tuple[int, int, bool, str]:
    """Return (code, unix ns, oom, reason) of an `exit` file. Raises ValueError when it is none."""
    code, at, oom, reason = data.decode("utf-8", "replace").rstrip("\n").split(" ", 3)
    return int(code), int(at), oom == "1", reason
