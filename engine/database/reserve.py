"""Room that is kept for removals: on a full disk they have to be recorded before they make any."""

import logging
import os
from pathlib import Path

_log = logging.getLogger(__name__)

SIZE = 2 << 20
SLICE = 64 * 1024
"""Bytes given back at once: many times what a removal writes, and others may take of it, too."""
_PLENTY = 4
"""The reserve is filled again once the disk has that many times its size free."""


class Reserve:
    """A file of SIZE allocated bytes beside the database. Used by one thread; never raises."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = _allocated(path)

    def refill(self) -> None:
        """Take what is missing, unless the disk is about full."""
        if self._size >= SIZE:
            return
        try:
            disk = os.statvfs(self._path.parent)
            if disk.f_bavail * disk.f_frsize < _PLENTY * SIZE:
                return
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.posix_fallocate(file, 0, SIZE)
            finally:
                os.close(file)
        except OSError as error:
            _log.warning("no room can be kept for removals on a full disk: %s", error.strerror)
        self._size = _allocated(self._path)

    def give(self) -> bool:
        """Give a slice back to the disk; False when none is left."""
        if self._size <= 0:
            return False
        self._size = max(0, self._size - SLICE)
        try:
            os.truncate(self._path, self._size)
        except OSError as error:
            _log.warning("cannot give back the room kept for removals: %s", error.strerror)
            self._size = 0
            return False
        return True


def _allocated(path: Path) -> int:
    """Bytes that the file has and that are really its own."""
    try:
        status = path.stat()
    except OSError:
        return 0
    return min(status.st_size, status.st_blocks * 512)
