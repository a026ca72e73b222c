"""The files of one log, read in order: `.N` … `.1`, then the current one, through rotations and compression.

A place in the log is an open file and an offset in its plain content. What comes after a file is found by its inode
among the names that exist, so it does not matter how often files were renamed meanwhile, nor whether this one was
compressed. Everything here blocks.
"""

import os

import msgspec

from engine.logs.rotated import Name, inflated, names, open_name

BLOCK = 256 * 1024  # small enough not to keep other threads from the interpreter for long
GLANCE = 16 * 1024  # bytes: to read, decode and frame them takes 26 µs, the way to a thread and back 80
MAX_RECORD = 1 << 20  # no record is longer: what has no newline for so long is damage

_MARK = (
    64  # bytes before the offset that are looked at again: another content there means truncated and refilled
)
_RETRIES = 100
_INDEX = ".index"
_PAGE = 4096  # bytes, or a multiple: where the kernel may have something in memory and not what follows
_buffer = memoryview(
    bytearray(GLANCE)
)  # of the loop's thread alone: each glance is over before the next begins
_glanced = [_buffer]


class Place(msgspec.Struct, frozen=True):
    """A place that outlives its reader: the inode of the (once) plain file, an offset, and what stands before it."""

    inode: int
    offset: int
    mark: bytes


class LogFiles:
    """A place in a log. `open` puts it at the beginning of what was asked; `read` goes on from there."""

    def __init__(self, path: str, *, block: int = BLOCK) -> None:
        """`block`: bytes that a read gives at most, unless a single record is longer."""
        self._path = path
        self._size = block
        self._missed = True
        self._file: _File | None = None
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
            self._file, self._offset = _start(files, tail)
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
        position, entries = self._position(names(self._path)), _index(self._path)
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
    def _here(self) -> "_File":
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

    def _successor(self) -> "_File | None":
        """The file after this one, opened; the oldest if this has no name any more; None if there is none."""
        for _ in range(_RETRIES):
            found = names(self._path)
            position = self._position(found)
            if position == 0 or not found:
                return None
            self._missed = position == len(found)
            if (file := _open(found[position - 1])) is not None:
                return file
        return None

    def _position(self, found: list[Name]) -> int:
        """Where this file is among names, the newest first; behind them all if it has none any more."""
        here = self._here.name
        for position, each in enumerate(found):
            if (each.device, each.inode, each.compressed) == (here.device, here.inode, here.compressed):
                return position
        for position, each in enumerate(
            found
        ):  # it was compressed: the latest copy of such an inode is of this file
            if each.compressed and not here.compressed and each.origin == here.inode:
                return position
        return len(found)

    def _open_all(self) -> "list[_File]":
        """All files, oldest first, as they are at one moment."""
        for attempt in range(_RETRIES):
            found = names(self._path)
            files = [file for each in found if (file := _open(each)) is not None]
            if [each.name for each in files] == names(self._path) or attempt == _RETRIES - 1:
                return files[::-1]
            for file in files:
                file.close()
        return []


class _File:
    """An open file of a log."""

    def __init__(self, name: Name, fd: int) -> None:
        self.name = name
        self.fd = fd
        self._content = -1 if name.compressed else fd

    @property
    def content(self) -> int:
        """A descriptor of the plain content. OSError if it cannot be had."""
        if self._content < 0:
            self._content = inflated(self.fd, os.path.dirname(self.name.path) or ".")
        return self._content

    @property
    def size(self) -> int:
        """Bytes of plain content."""
        return os.fstat(self.content).st_size

    def holds(self, place: Place) -> bool:
        """Whether what stands before a place stands there."""
        try:
            return os.pread(self.content, len(place.mark), place.offset - len(place.mark)) == place.mark
        except OSError:
            return False

    def close(self) -> None:
        """Let it go; once."""
        if self._content not in (-1, self.fd):
            os.close(self._content)
        os.close(self.fd)


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


def _start(files: list[_File], tail: int | None) -> tuple[_File, int]:
    """The file and offset at which the last `tail` records begin."""
    if tail is None or tail < 0:
        return files[0], 0
    wanted = tail
    for file in reversed(files):
        offset, found = tail_offset(file.content, wanted)
        wanted -= found
        if wanted <= 0:
            return file, offset
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


def _open(name: Name) -> _File | None:
    fd = open_name(name.path)
    if fd is None:
        return None
    status = os.fstat(fd)
    if (status.st_dev, status.st_ino) == (name.device, name.inode):
        return _File(name, fd)
    os.close(fd)
    return None


def _index(path: str) -> list[tuple[int, int]]:
    """Inodes of a numbered log's files, and how many records came before each; the newest is last."""
    try:
        with open(path + _INDEX, "rb") as file:
            lines = file.read(MAX_RECORD).splitlines()
        return [(int(inode), int(before)) for inode, before in map(bytes.split, lines)]
    except (OSError, ValueError):
        return []


def records_written(path: str) -> int:
    """How many records were ever written to a numbered log. Blocks."""
    entries = _index(path)
    count = entries[-1][1] if entries else 0
    try:
        with open(path, "rb") as file:
            while block := file.read(BLOCK):
                count += block.count(b"\n")
    except OSError:
        return count
    return count


def _size(path: str) -> int:
    try:
        return os.stat(path, follow_symlinks=False).st_size
    except OSError:
        return 0
