"""How far a log was sent, kept in a file beside it, so that another daemon goes on there."""

import os

import msgspec

from engine.logs.opened import Place

SUFFIX = ".sent"
_SIZE = 512  # bytes, always: one write replaces all of it


class _Kept(msgspec.Struct):
    inode: int = 0
    offset: int = 0
    mark: bytes = b""
    records: int = 0
    dropped: int = 0


class Progress(msgspec.Struct):
    """`records` counts those that are behind `place`, sent or `dropped`."""

    path: str
    place: Place | None = None
    records: int = 0
    dropped: int = 0
    _fd: int = -1

    @classmethod
    def load(cls, log: str) -> "Progress":
        """What was kept for a log, nothing if there is no such file or it is torn. Blocks."""
        path = log + SUFFIX
        try:
            with open(path, "rb") as file:
                kept = msgspec.json.decode(file.read(_SIZE), type=_Kept)
        except (OSError, msgspec.DecodeError):
            return cls(path)
        place = Place(kept.inode, kept.offset, kept.mark) if kept.mark else None
        return cls(path, place, kept.records, kept.dropped)

    def save(self) -> None:
        """Keep it. What cannot be kept (a full disk) may be sent twice after a crash, no worse."""
        place = self.place or Place(0, 0, b"")
        kept = _Kept(place.inode, place.offset, place.mark, self.records, self.dropped)
        try:
            if self._fd < 0:
                self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
            os.pwrite(self._fd, msgspec.json.encode(kept).ljust(_SIZE), 0)
        except OSError:
            return

    def close(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
