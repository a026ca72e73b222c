"""The files of one log, read in order: `.N` … `.1`, then the current one, through rotations.

A place in the log is an open file and an offset. What comes after a file is found by its (device, inode)
among the names that exist, so it does not matter how often files were renamed meanwhile. Everything here
blocks.
"""

import os
from collections.abc import Iterable

BLOCK = 256 * 1024  # small enough not to keep other threads from the interpreter for long
GLANCE = 16 * 1024  # bytes: to read, decode and frame them takes 26 µs, the way to a thread and back 80
MAX_RECORD = 1 << 20  # no record is longer: what has no newline for so long is damage

_MARK = (
    64  # bytes before the offset that are looked at again: another content there means truncated and refilled
)
_RETRIES = 100

Identity = tuple[int, int]


class LogFiles:
    """A place in a log. `open` puts it at the beginning of what was asked; `read` goes on from there."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1
        self._offset = 0
        self._mark = b""
        self._goal: tuple[Identity, int] | None = None  # where to stop, when not following

    def open(self, tail: int | None, *, follow: bool) -> bool:
        """Go to the last `tail` records (None: to the oldest). False if there is no file yet.

        Without `follow` the log ends for this reader where it ends now.
        """
        files = self._open_all()
        try:
            if not files:
                return False
            self._fd, self._offset = _start(files, tail)
            if not follow:
                status = os.fstat(files[-1])
                self._goal = (_identity(status), status.st_size)
        finally:
            for fd in files:
                if fd != self._fd:
                    os.close(fd)
        return True

    def read(self, *, last: bool = False) -> bytes:
        """The next whole lines; b"" if there are none now. With `last` also a line without its end."""
        while True:
            lines = self._lines(last=last)
            if lines or not self._next_file():
                return lines

    def glance(self) -> bytes | None:
        """What `read` would give, without blocking; None when that takes `read`.

        For one who has read all and knows that no name has changed since. The kernel copies what it has in
        memory, as it has what was just written, up to `GLANCE` bytes and to the very end of the file.
        """
        begin = self._offset - len(self._mark)
        buffer = bytearray(GLANCE)
        try:
            size = os.preadv(self._fd, [buffer], begin, os.RWF_NOWAIT)
            whole = size < GLANCE and os.fstat(self._fd).st_size == begin + size
        except OSError:  # not in memory, or a file system that does not tell
            return None
        data = bytes(buffer[:size])
        if not whole or not data.startswith(self._mark):
            return None
        block = data[len(self._mark) :]
        end = block.rfind(b"\n") + 1
        self._advance(block, end)
        return block[:end]

    def close(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _lines(self, *, last: bool) -> bytes:
        block = self._block(BLOCK)
        end = block.rfind(b"\n") + 1
        if not end and len(block) == BLOCK:
            block = self._block(MAX_RECORD)
            end = block.rfind(b"\n") + 1 or (len(block) if len(block) == MAX_RECORD else 0)
        if not end and last:
            end = len(block)
        self._advance(block, end)
        return block[:end]

    def _block(self, size: int) -> bytes:
        """Up to `size` bytes from the offset on; from the beginning if the file was truncated."""
        mark = self._mark
        data = os.pread(self._fd, len(mark) + size, self._offset - len(mark))
        if not data.startswith(mark):
            self._offset, self._mark, mark = 0, b"", b""
            data = os.pread(self._fd, size, 0)
        if self._goal is not None and self._goal[0] == _identity(os.fstat(self._fd)):
            data = data[: max(self._goal[1] - self._offset, 0) + len(mark)]
        return data[len(mark) :]

    def _advance(self, block: bytes, count: int) -> None:
        if count:
            self._offset += count
            self._mark = (
                (self._mark + block[:count])[-_MARK:] if count < _MARK else block[count - _MARK : count]
            )

    def _next_file(self) -> bool:
        """Go to the file that follows this one, which was read to its end; False if this is the current one."""
        here = _identity(os.fstat(self._fd))
        if self._goal is not None and self._goal[0] == here:
            return False
        following = self._successor(here)
        if following is None:
            return False
        # What was written between our last read and the rename comes first.
        if self._block(1):
            os.close(following)
            return True
        os.close(self._fd)
        self._fd, self._offset, self._mark = following, 0, b""
        return True

    def _successor(self, here: Identity) -> int | None:
        """The file after `here`, opened; the oldest if `here` has no name any more; None if there is none."""
        for _ in range(_RETRIES):
            names = self._names()
            known = [_identity_of(name) for name in names]
            position = known.index(here) if here in known else len(names)
            if position == 0 or not names:
                return None
            fd = _open(names[position - 1])
            if fd is not None:
                if _identity(os.fstat(fd)) == known[position - 1]:
                    return fd
                os.close(fd)
        return None

    def _names(self) -> list[str]:
        """The names that exist, newest first; a rotation under way leaves one out for a moment."""
        directory, name = os.path.split(self._path)
        try:
            present = os.listdir(directory or ".")
        except OSError:
            return []
        numbers = sorted(_numbers(name, present))
        return [f"{self._path}.{number}" if number else self._path for number in numbers]

    def _open_all(self) -> list[int]:
        """All files, oldest first, as they are at one moment."""
        for attempt in range(_RETRIES):
            names = self._names()
            opened = [_open(name) for name in names]
            files = [fd for fd in opened if fd is not None]
            now = [_identity_of(name) for name in self._names()]
            if [_identity(os.fstat(fd)) for fd in files] == now or attempt == _RETRIES - 1:
                return files[::-1]
            for fd in files:
                os.close(fd)
        return []


def _start(files: list[int], tail: int | None) -> tuple[int, int]:
    """The file and offset at which the last `tail` records begin."""
    if tail is None or tail < 0:
        return files[0], 0
    wanted = tail
    for fd in reversed(files):
        offset, found = tail_offset(fd, wanted)
        wanted -= found
        if wanted <= 0:
            return fd, offset
    return files[0], 0


def tail_offset(fd: int, wanted: int) -> tuple[int, int]:
    """Where the last `wanted` whole lines of a file begin, and how many there are (fewer: the file is short).

    Read in blocks from the end; a line without its end does not count, and comes along.
    """
    size = os.fstat(fd).st_size
    found, position = -1, size  # the newline at the very end begins no line
    while position > 0:
        begin = max(position - BLOCK, 0)
        block = os.pread(fd, position - begin, begin)
        count = block.count(b"\n")
        if found + count >= wanted:
            return begin + _nth_newline_from_end(block, wanted - found) + 1, wanted
        found += count
        position = begin
    return 0, max(found + 1, 0) if size and found >= 0 else 0


def _nth_newline_from_end(block: bytes, number: int) -> int:
    end = len(block)
    for _ in range(number):
        end = block.rfind(b"\n", 0, end)
    return end


def _numbers(name: str, present: Iterable[str]) -> Iterable[int]:
    """0 for the log's own name, N for `name.N`; nothing for other files."""
    for other in present:
        suffix = other.removeprefix(f"{name}.")
        if other == name:
            yield 0
        elif suffix != other and suffix.isascii() and suffix.isdecimal():
            yield int(suffix)


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def _identity_of(path: str) -> Identity | None:
    try:
        return _identity(os.stat(path, follow_symlinks=False))
    except OSError:
        return None
