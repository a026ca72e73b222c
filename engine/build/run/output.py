"""What a command writes, taken out of the frames in which its shim sends it."""

from collections.abc import Awaitable, Callable

from runtime.shim_stream import Stream

Output = Callable[[int, bytes], Awaitable[None]]
"""Told a stream (1 stdout, 2 stderr) and what came on it, in any pieces; awaiting it is the backpressure."""

_HEADER = 8


async def follow(stream: Stream, output: Output) -> None:
    """Pass on all that comes, until its end."""
    frames = Frames()
    while data := await stream.read():
        for number, payload in frames.feed(data):
            await output(number, payload)


class Frames:
    """Cuts stdcopy frames, which come in any pieces; payloads are passed on before they are complete."""

    def __init__(self) -> None:
        self._header = b""
        self._left = 0  # bytes of the payload that have not come yet

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The payloads in `data`, each with its stream."""
        found: list[tuple[int, bytes]] = []
        position = 0
        while position < len(data):
            if not self._left:
                missing = _HEADER - len(self._header)
                self._header += data[position : position + missing]
                position += missing
                if len(self._header) < _HEADER:
                    break
                self._left = int.from_bytes(self._header[4:], "big")
            payload = data[position : position + self._left]
            if payload:
                found.append((self._header[0], payload))
            position += len(payload)
            self._left -= len(payload)
            if not self._left:
                self._header = b""
        return found
