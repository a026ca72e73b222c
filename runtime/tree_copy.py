"""Copies of trees and of files that others made, without following a link. All of it blocks."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from runtime.tree import Cursor, Move, Step, walk

if TYPE_CHECKING:
    from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_COPY_FALLBACK = (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


def copy(source: "Path | str", target: "Path | str") -> None:
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

    def __init__(self, target: "Path | str") -> None:
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
