"""What is there and not durable yet: named by empty files, so that the start after a crash takes it for nothing.

To make each of many small things durable takes longer than to make them. Whoever makes some that count only together
marks each before it gets its name, and settles all at once before anything refers to them.
"""

import ctypes
import os
import threading
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)


class Unsettled:
    """The marks of one store, in a directory on the file system of what they mark. All of it blocks.

    A name that is marked and not settled is not to be trusted after a crash: `left` tells of those, at the start.
    """

    def __init__(self, directory: Path) -> None:
        """The directory is there before the first mark."""
        self._directory = directory
        self._named: set[str] = set()
        self._lock = threading.Lock()

    def left(self) -> list[str]:
        """The names of which a former run left marks."""
        return os.listdir(self._directory)

    def mark(self, name: str) -> None:
        """Before something gets the name. OSError when the disk refuses."""
        (self._directory / name).touch(0o600)

    def named(self, name: str) -> None:
        """It has the name now: the next settling makes it durable."""
        with self._lock:
            self._named.add(name)

    def forget(self, name: str) -> None:
        """It is durable, or no more."""
        with self._lock:
            self._named.discard(name)
        (self._directory / name).unlink(missing_ok=True)

    def has(self, name: str) -> bool:
        """Whether it is there and not durable."""
        return name in self._named

    def settle(self) -> None:
        """Make all that has its name durable. OSError when the disk refuses: nothing is settled then."""
        with self._lock:
            names = list(self._named)
        if not names:
            return
        sync_filesystem(self._directory)
        for name in names:
            self.forget(name)


def sync_filesystem(directory: Path) -> None:
    """Write to the disk all that its file system has in memory. OSError when the disk refuses."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(fd) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(fd)
