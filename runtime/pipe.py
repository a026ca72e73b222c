"""The reading end of a pipe as a stream of the loop.

Not by the loop's `connect_read_pipe`: uvloop closes the descriptor, and then its number once more. Between the two
other threads run, and what they have opened meanwhile under that number is closed in their hands.
"""

import asyncio
import os

_CHUNK = 256 << 10


def receive(reading: int, limit: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    """Read a pipe's end, which the transport owns from now on, ahead by little more than twice `limit` bytes."""
    stream = asyncio.StreamReader(limit=limit)
    transport = _Receiving(reading, stream)
    stream.set_transport(transport)
    return stream, transport


class _Receiving(asyncio.ReadTransport):
    def __init__(self, fd: int, stream: asyncio.StreamReader) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._fd = fd
        self._stream = stream
        os.set_blocking(fd, False)
        self.resume_reading()

    def pause_reading(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._read)

    def is_closing(self) -> bool:
        return self._fd < 0

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._loop.remove_reader(fd)
            os.close(fd)
            self._stream.feed_eof()

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return
        if data:
            self._stream.feed_data(data)
        else:
            self.close()
