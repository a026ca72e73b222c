"""Regular files of a client whose content is to come: asked for a few at a time, and written as it comes."""

import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import errdefs
from api.buildkit import metadata
from api.buildkit.protos.session_pb2 import Packet, Stat
from runtime.writeback import Ahead

REQUESTED: Final = 64  # files that are under way at a time: their descriptors are open
_NUMBER: Final = 8  # bytes
_AT_ONCE: Final = 256  # pieces of a file that are written with one call: less than IOV_MAX


class Incoming:
    """All that a transfer has asked for, or will. `received` counts bytes of content. All of it blocks."""

    def __init__(self) -> None:
        """Nothing is expected yet."""
        self._waiting: deque[bytes] = (
            deque()
        )  # number and entry as they came: a message takes ten times as much
        self._open: dict[int, _File] = {}
        self._unwritten: list[bytes] = []  # content of the file with the number `_writes`
        self._writes = -1
        self.received = 0

    @property
    def complete(self) -> bool:
        """Whether all that was expected is here."""
        return not self._open and not self._waiting

    def expect(self, number: int, entry: Stat) -> None:
        """A file by its number in the client's walk."""
        self._waiting.append(number.to_bytes(_NUMBER) + entry.SerializeToString())

    def requests(self, opened: Callable[[str], int]) -> list[Packet]:
        """What is to be asked for now; `opened` opens the path of a file that was expected, for writing."""
        asked: list[Packet] = []
        while self._waiting and len(self._open) < REQUESTED:
            told = self._waiting.popleft()
            number, entry = int.from_bytes(told[:_NUMBER]), Stat.FromString(told[_NUMBER:])
            self._open[number] = _File(entry, opened(os.fsdecode(entry.path)))
            asked.append(Packet(type=Packet.PACKET_REQ, ID=number))
        return asked

    def take(self, number: int, data: bytes) -> None:
        """Content of a file, nothing at its end; it is written at the next `flush` at the latest.

        InvalidArgument for a file that was not asked for.
        """
        if number not in self._open:
            raise errdefs.InvalidArgument(f"invalid file request {number}")
        self.received += len(data)
        if number != self._writes or len(self._unwritten) == _AT_ONCE:
            self.flush()
            self._writes = number
        if data:
            self._unwritten.append(data)
            return
        self.flush()
        self._open.pop(number).finish()

    def flush(self) -> None:
        """Write what was taken."""
        pieces, self._unwritten = self._unwritten, []
        if pieces:
            self._open[self._writes].write(pieces)

    def close(self) -> None:
        """Let go of what is open."""
        for file in self._open.values():
            os.close(file.fd)
        self._open.clear()


class _File:
    """One that is open, with as much of its content as was written."""

    def __init__(self, entry: Stat, fd: int) -> None:
        self.fd = fd
        self._entry = entry
        self._size = 0
        self._ahead = Ahead(fd)

    def write(self, pieces: Sequence[bytes]) -> None:
        """With one call: each waits until the interpreter is free again."""
        wanted = sum(map(len, pieces))
        written = os.writev(self.fd, pieces)
        if written < wanted:
            left = memoryview(b"".join(pieces))[written:]
            while left:
                left = left[os.write(self.fd, left) :]
        self._size += wanted
        self._ahead.reached(self._size)

    def finish(self) -> None:
        """Its time tells that all of it is there."""
        try:
            metadata.finish(self.fd, self._entry)
        finally:
            os.close(self.fd)
