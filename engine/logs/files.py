"""The files of one log, read in order: `.N` … `.1`, then the current one, through rotations and compression.

A place in the log is an open file and an offset in its plain content. What comes after a file is found by its inode
among the names that exist, so it does not matter how often files were renamed meanwhile, nor whether this one was
compressed. Everything here blocks.
"""

import os

import msgspec

from engine.logs.numbering import index
from engine.logs.opened import OpenFile, Place, open_file
from engine.logs.rotated import Name, names
from engine.logs.tail import start

BLOCK = 256 * 1024  # small enough not to keep other threads from the interpreter for long
GLANCE = 16 * 1024  # bytes: to read, decode and frame them takes 26 µs, the way to a thread and back 80
MAX_RECORD = 1 << 20  # no record is longer: what has no newline for so long is damage

# Bytes before the offset that are looked at again: another content there means truncated and refilled.
_MARK = 64
_RETRIES = 100
_PAGE = 4096  # bytes, or a multiple: where the kernel may have something in memory and not what follows
# Of the loop's thread alone: each glance is over before the next begins.
_buffer = memoryview(bytearray(GLANCE))
_glanced = [_buffer]


class LogFiles:
    """A place in a log. `open` puts it at the beginning of what was asked; `read` goes on from there."""

    def __init__(self, path: str, *, block: int = BLOCK) -> None:
        """`block`: bytes that a read gives at most, unless a single record is longer."""
        self._path = path
        self._size = block
        self._missed = True
        self._file: OpenFile | None = None
        self._offset = 0
        self._mark = b""
        self._goal: _Goal | None = None  # where to stop, when not following

    def open(self, tail: int | None, *, follow: bool) -> bool:
        """Go to the last `tail` records (None: to the oldest). False if there is no file yet.

        Without `follow` the log ends for this reader where it ends now.
        """
        files = self._open_all()
        try:
            if not files:
                return False
            self._file, self._offset = start(files, tail)
            if not follow:
                copies = frozenset(each.name.inode for each in files if each.name.compressed)
                self._goal = _Goal(files[-1].name, os.fstat(files[-1].fd).st_size, copies)
        finally:
            for each in files:
                if each is not self._file:
                    each.close()
        return True

    def resume(self, place: Place) -> bool:
        """Go to a place. False if it is not in the log any more: all that is there was written later."""
        for each in self._open_all():
            if self._file is None and each.name.origin == place.inode and each.holds(place):
                self._file, self._offset, self._mark = each, place.offset, place.mark
            else:
                each.close()
        self._missed = self._file is None
        return self._file is not None

    @property
    def place(self) -> Place:
        """Where the next `read` begins; to be asked while it is open."""
        return Place(self._here.name.origin, self._offset, self._mark)

    def missed_any(self) -> bool:
        """Whether it is not known that this file follows what was read before; told once."""
        missed, self._missed = self._missed, False
        return missed

    def records_before(self) -> int | None:
        """How many records were written before this file, where the writer noted it."""
        position, entries = self._position(names(self._path)), index(self._path)
        if position == len(entries):  # the first file of all, before which there was nothing to note
            return 0
        if position < len(entries) and entries[-1 - position][0] == self._here.name.origin:
            return entries[-1 - position][1]
        return None

    def backlog(self) -> int:
        """Bytes on disk from here to the end of the log."""
        here = self._here
        found = names(self._path)
        later = found[: self._position(found)]
        return max(here.size - self._offset, 0) + sum(_size(each.path) for each in later)

    def read(self, *, last: bool = False) -> bytes:
        """The next whole lines; b"" if there are none now. With `last` also a line without its end."""
        while True:
            lines = self._lines(last=last)
            if lines or not self._next_file():
                return lines

    def glance(self) -> bytes | None:
        """What `read` would give, without blocking; None when that takes `read`.

        For one who has read all and knows that no name has changed since. The kernel copies what it has in
        memory, as it has what was just written, up to `GLANCE` bytes and to the very end of the file: what it
        stops at within a page is that.
        """
        here = self._here
        if here.name.compressed:
            return None
        begin = self._offset - len(self._mark)
        try:
            size = os.preadv(here.fd, _glanced, begin, os.RWF_NOWAIT)
            end = begin + size
            whole = size < GLANCE and (end % _PAGE != 0 or os.lseek(here.fd, 0, os.SEEK_END) == end)
        except OSError:  # not in memory, or a file system that does not tell
            return None
        data = bytes(_buffer[:size])
        if not whole or not data.startswith(self._mark):
            return None
        block = data[len(self._mark) :]
        end = block.rfind(b"\n") + 1
        self._advance(block, end)
        return block[:end]

    def close(self) -> None:
        """Idempotent."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def _here(self) -> OpenFile:
        assert self._file is not None, "it is open"
        return self._file

    def _lines(self, *, last: bool) -> bytes:
        block = self._block(self._size)
        end = block.rfind(b"\n") + 1
        if not end and len(block) == self._size:
            block = self._block(MAX_RECORD)
            end = block.rfind(b"\n") + 1 or (len(block) if len(block) == MAX_RECORD else 0)
        if not end and last:
            end = len(block)
        self._advance(block, end)
        return block[:end]

    def _block(self, size: int) -> bytes:
        """Up to `size` bytes from the offset on; from the beginning if the file was truncated."""
        here, mark = self._here, self._mark
        data = os.pread(here.content, len(mark) + size, self._offset - len(mark))
        if not data.startswith(mark):
            self._offset, self._mark, mark = 0, b"", b""
            self._missed = True
            data = os.pread(here.content, size, 0)
        if self._goal is not None and self._goal.is_in(here.name):
            data = data[: max(self._goal.size - self._offset, 0) + len(mark)]
        return data[len(mark) :]

    def _advance(self, block: bytes, count: int) -> None:
        if count:
            self._offset += count
            self._mark = (
                (self._mark + block[:count])[-_MARK:] if count < _MARK else block[count - _MARK : count]
            )

    def _next_file(self) -> bool:
        """Go to the file that follows this one, which was read to its end; False if this is the current one."""
        if self._goal is not None and self._goal.is_in(self._here.name):
            return False
        following = self._successor()
        if following is None:
            return False
        # What was written between our last read and the rename comes first.
        if self._block(1):
            following.close()
            return True
        self._here.close()
        self._file, self._offset, self._mark = following, 0, b""
        return True

    def _successor(self) -> OpenFile | None:
        """The file after this one, opened; the oldest if this has no name any more; None if there is none."""
        for _ in range(_RETRIES):
            found = names(self._path)
            position = self._position(found)
            if position == 0 or not found:
                return None
            self._missed = position == len(found)
            if (file := open_file(found[position - 1])) is not None:
                return file
        return None

    def _position(self, found: list[Name]) -> int:
        """Where this file is among names, the newest first; behind them all if it has none any more."""
        here = self._here.name
        for position, each in enumerate(found):
            if (each.device, each.inode, each.compressed) == (here.device, here.inode, here.compressed):
                return position
        # It was compressed: the latest copy of such an inode is of this file.
        for position, each in enumerate(found):
            if each.compressed and not here.compressed and each.origin == here.inode:
                return position
        return len(found)

    def _open_all(self) -> list[OpenFile]:
        """All files, oldest first, as they are at one moment."""
        for attempt in range(_RETRIES):
            found = names(self._path)
            files = [file for each in found if (file := open_file(each)) is not None]
            if [each.name for each in files] == names(self._path) or attempt == _RETRIES - 1:
                return files[::-1]
            for file in files:
                file.close()
        return []


class _Goal(msgspec.Struct, frozen=True):
    """The end of a log as it was: a file, its size, and the inodes of the compressed files of that time."""

    name: Name
    size: int
    copies: frozenset[int]

    def is_in(self, name: Name) -> bool:
        """Whether it is in that file, or in the copy that was made of its file since."""
        if name.compressed and not self.name.compressed:
            return name.origin == self.name.inode and name.inode not in self.copies
        return name.inode == self.name.inode


def _size(path: str) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_size
    except OSError:
        return 0
