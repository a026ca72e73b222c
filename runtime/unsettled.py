"""What is there and not durable yet: named by links that lead nowhere, so that the start after a crash of the host
takes it for nothing. The death of the daemon alone takes nothing of what the kernel was given.

To make each of many small things durable takes longer than to make them. Whoever makes some that count only together
marks each before it gets its name, and settles all at once before anything refers to them.
"""

import ctypes
import os
import threading
from contextlib import suppress
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_libc = ctypes.CDLL(None, use_errno=True)


class Unsettled:
    """The marks of one store, in a directory on the file system of what they mark. All of it blocks.

    A name that is marked and not settled is not to be trusted once the host has gone down: `distrusted` tells of
    those, at the start.
    """

    def __init__(self, directory: Path) -> None:
        """The directory is there before the first mark."""
        self._directory = directory
        self._run = BOOT_ID.read_text().strip()
        self._named: set[str] = set()
        self._lock = threading.Lock()

    def distrusted(self) -> list[str]:
        """The names that a former run of the host left marked: remove what they name, and forget them.

        Those of a daemon that died since then are trusted, and settled with the next ones.
        """
        names = os.listdir(self._directory)
        trusted = {name for name in names if self._run_of(name) == self._run}
        self._named |= trusted
        return [name for name in names if name not in trusted]

    def _run_of(self, name: str) -> str:
        try:
            return os.readlink(self._directory / name)
        except OSError:
            return ""  # a file, as marks once were

    def mark(self, name: str) -> None:
        """Before something gets the name. OSError when the disk refuses."""
        with suppress(FileExistsError):
            os.symlink(self._run, self._directory / name)  # which takes one call, and no block of the disk

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


def sync_directory(directory: Path) -> None:
    """Have it on the disk which names a directory holds. OSError when the disk refuses."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_filesystem(directory: Path) -> None:
    """Write to the disk all that its file system has in memory. OSError when the disk refuses."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(fd) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(fd)
