"""Trees of files that others made: walked, measured, copied and removed without following a link.

Whoever filled such a tree may have nested it deeper than any path or any recursion reaches, so we go by
directory descriptors, one name at a time, and hold no more than a few of them whatever the depth. All of
it blocks.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from enum import Enum
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from errdefs import Conflict

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BATCH = 256  # directories that are handed out at once, so that few are remembered of however many there are
_COPY_FALLBACK = (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class Move(Enum):
    """What a step of a walk does."""

    OBJECT = "object"  # not a directory
    ENTER = "enter"
    LEAVE = "leave"


class Step(NamedTuple):
    """One step: the object `name` in the directory `dir_fd`, which is valid until the next step."""

    move: Move
    dir_fd: int
    name: str
    stat: os.stat_result


class Cursor:
    """A place in a tree, held by one descriptor; `up` proves that it came back to where `down` started."""

    def __init__(self, root: Path | str | int) -> None:
        """Stand at `root`, for which a descriptor may stand, which stays the caller's."""
        self.fd = (
            os.open(".", _DIRECTORY, dir_fd=root) if isinstance(root, int) else os.open(root, _DIRECTORY)
        )
        self._above: list[tuple[int, int]] = []

    def down(self, name: str) -> None:
        """Go into a directory; OSError when it is none."""
        below = os.open(name, _DIRECTORY, dir_fd=self.fd)
        here = os.fstat(self.fd)
        self._above.append((here.st_dev, here.st_ino))
        self._replace(below)

    def up(self) -> None:
        """Go back; Conflict when the directory was moved away meanwhile."""
        self._replace(os.open("..", _DIRECTORY, dir_fd=self.fd))
        here = os.fstat(self.fd)
        if self._above.pop() != (here.st_dev, here.st_ino):
            raise Conflict("a directory was moved while its tree was read")

    def _replace(self, fd: int) -> None:
        os.close(self.fd)
        self.fd = fd

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self.fd)


def walk(root: Path | str, into: Callable[[str], bool] | None = None) -> Iterator[Step]:
    """Yield all below `root`: a directory's ENTER, what is in it, its LEAVE. What vanishes is left out.

    So is what is in directories that `into` does not want by their path ("/etc").
    """
    cursor = Cursor(root)
    try:
        pending = [iter(sorted(os.listdir(cursor.fd)))]
        entered: list[tuple[str, os.stat_result]] = []
        while True:
            name = next(pending[-1], None)
            if name is not None:
                yield from _visit(cursor, name, pending, entered, into)
                continue
            pending.pop()
            if not pending:
                return
            cursor.up()
            yield Step(Move.LEAVE, cursor.fd, *entered.pop())
    finally:
        cursor.close()


def _visit(
    cursor: Cursor,
    name: str,
    pending: list[Iterator[str]],
    entered: list[tuple[str, os.stat_result]],
    into: Callable[[str], bool] | None,
) -> Iterator[Step]:
    try:
        found = os.stat(name, dir_fd=cursor.fd, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        yield Step(Move.OBJECT, cursor.fd, name, found)
        return
    yield Step(Move.ENTER, cursor.fd, name, found)
    wanted = into is None or into("/" + "/".join([*(above for above, _ in entered), name]))
    try:
        if wanted:
            cursor.down(name)
    except (FileNotFoundError, NotADirectoryError):
        wanted = False
    if not wanted:
        yield Step(Move.LEAVE, cursor.fd, name, found)
        return
    entered.append((name, found))
    pending.append(iter(sorted(os.listdir(cursor.fd))))


Each = Callable[[Callable[[str], list[str]], list[str]], Iterable[list[str]]]
"""How a function is called with each of some names: `map`, or that of an executor."""


def remove(root: Path, each: Each = map) -> None:
    """Remove a tree, however deep; nothing when it is not there.

    Directories that are not empty are moved up into `root` first, so no more than two levels are open for each
    that is removed at the same time.
    """
    try:
        top = os.open(root, _DIRECTORY)
    except FileNotFoundError:
        return
    try:
        remaining = _clear(top, top)
        while remaining:
            some, remaining = remaining[-_BATCH:], remaining[:-_BATCH]
            remaining += chain.from_iterable(each(partial(_remove_below, top), some))
    finally:
        os.close(top)
    os.rmdir(root)


def _remove_below(top: int, name: str) -> list[str]:
    """Remove a directory of `top`; the names of what is to be removed after it, as in `top`."""
    below = os.open(name, _DIRECTORY, dir_fd=top)
    try:
        left = _clear(below, top)
    finally:
        os.close(below)
    os.rmdir(name, dir_fd=top)
    return left


def _clear(directory: int, top: int) -> list[str]:
    """Empty a directory but for what must be cleared first; return the names of that, as in `top`."""
    left = []
    for name in os.listdir(directory):
        try:
            os.unlink(name, dir_fd=directory)
        except IsADirectoryError:
            try:
                os.rmdir(name, dir_fd=directory)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                left.append(name if directory == top else _move_up(directory, name, top))
    return left


def _move_up(directory: int, name: str, top: int) -> str:
    free = os.urandom(16).hex()
    os.rename(name, free, src_dir_fd=directory, dst_dir_fd=top)
    return free


def copy(source: Path | str, target: Path | str) -> None:
    """Copy what is in `source` into the directory `target`, and the directory's own metadata.

    Owners, modes, times, xattrs, hard links, devices, fifos and holes are kept.
    """
    copier = _Copier(target)
    try:
        for step in walk(source):
            copier.take(step)
        copy_metadata(str(source), str(target), os.stat(source))
    finally:
        copier.close()


def copy_metadata(source: str, target: str, found: os.stat_result) -> None:
    """Give `target` the owner, xattrs, mode and times of `source`; links are not followed."""
    os.chown(target, found.st_uid, found.st_gid, follow_symlinks=False)
    for name in os.listxattr(source, follow_symlinks=False):
        with suppress(OSError):  # what the target's filesystem cannot hold is left out, as Docker does
            os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        os.chmod(target, stat.S_IMODE(found.st_mode))
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)


class _Copier:
    """Follows a walk of the source with a cursor of its own in the target."""

    def __init__(self, target: Path | str) -> None:
        self._target = Cursor(target)
        self._top = os.open(target, _DIRECTORY)
        self._path: list[str] = []
        self._links: dict[tuple[int, int], str] = {}

    def close(self) -> None:
        self._target.close()
        os.close(self._top)

    def take(self, step: Step) -> None:
        if step.move is Move.ENTER:
            os.mkdir(step.name, 0o700, dir_fd=self._target.fd)
            self._target.down(step.name)
            self._path.append(step.name)
            return
        if step.move is Move.LEAVE:
            self._target.up()
            self._path.pop()
        elif self._link(step):
            return
        else:
            self._make(step)
        source, target = (f"/proc/self/fd/{fd}/{step.name}" for fd in (step.dir_fd, self._target.fd))
        copy_metadata(source, target, step.stat)

    def _link(self, step: Step) -> bool:
        if step.stat.st_nlink == 1:
            return False
        inode = (step.stat.st_dev, step.stat.st_ino)
        first = self._links.setdefault(inode, path := "/".join([*self._path, step.name]))
        if first == path:
            return False
        try:
            os.link(first, step.name, src_dir_fd=self._top, dst_dir_fd=self._target.fd, follow_symlinks=False)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            return False  # nested deeper than a path reaches: it becomes a file of its own
        return True

    def _make(self, step: Step) -> None:
        kind = stat.S_IFMT(step.stat.st_mode)
        if kind == stat.S_IFREG:
            _copy_file(step, self._target.fd)
        elif kind == stat.S_IFLNK:
            os.symlink(os.readlink(step.name, dir_fd=step.dir_fd), step.name, dir_fd=self._target.fd)
        else:
            os.mknod(step.name, kind | 0o600, step.stat.st_rdev, dir_fd=self._target.fd)


def _copy_file(step: Step, target_dir: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    source = os.open(step.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=step.dir_fd)
    try:
        target = os.open(step.name, flags, 0o600, dir_fd=target_dir)
        try:
            copy_content(source, target, step.stat.st_size)
        finally:
            os.close(target)
    finally:
        os.close(source)


def copy_content(source: int, target: int, size: int) -> None:
    """Copy `size` bytes of a file to an empty one; holes are kept."""
    for start, end in _data(source, size):
        _copy_range(source, target, start, end)
    os.truncate(target, size)


def _data(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of a file that are no holes, as (start, end)."""
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    while start < end:
        count = min(end - start, 1 << 27)
        try:
            copied = os.copy_file_range(source, target, count, start, start)
        except OSError as error:
            if error.errno not in _COPY_FALLBACK:
                raise
            copied = os.pwrite(target, os.pread(source, min(count, 1 << 20), start), start)
        if not copied:
            return
        start += copied
