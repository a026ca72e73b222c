"""Limits of what directories may hold, by project quotas of the file system: xfs with pquota, ext4 with prjquota.

A project is a number: what is made below a directory that has one inherits it, and the kernel counts and limits what a
project's files take, whoever writes them. The number is kept by the directory itself, and by nothing else: who removes
a directory by `release` gives it back, and a number that no file has any more is free.
"""

import ctypes
import errno
import fcntl
import os
import secrets
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from errdefs import SystemFailure

# linux/fs.h and linux/dqblk_xfs.h; quotactl_fd(2) is as old as Linux 5.14
_QUOTACTL_FD = 443
_GET_XATTR, _SET_XATTR = 0x801C581F, 0x401C5820
_XATTR = struct.Struct("=5I8x")  # flags, extent size, extents, project, extent size of copies
_PROJECT_INHERITED = 0x200
_PROJECT = 2  # the type of a quota
_GET, _SET_LIMIT, _GET_STATE, _GET_NEXT = (
    (ord("X") << 8 | number) << 8 | _PROJECT for number in (3, 4, 8, 9)
)
_ENFORCED = 1 << 5
_STATE = struct.Struct("=bxH156x")
_QUOTA = struct.Struct("=bbHI6QiiHHi3QiHh8x")  # limits of blocks, of inodes, then how many of each there are
_SOFT, _HARD = 1 << 2, 1 << 3
_BLOCK = 512
_OURS = range(1 << 28, 1 << 29)  # projects that administrators number by hand are smaller
_TRIES = 100

_libc = ctypes.CDLL(None, use_errno=True)


class ProjectQuota:
    """The project quotas of the file system that holds a directory. All of it blocks."""

    def __init__(self, root: Path) -> None:
        """Use `of`."""
        self._root = root

    @classmethod
    def of(cls, root: Path) -> "ProjectQuota | None":
        """Those at the existing directory `root`; None where there are none, or they are counted and not enforced."""
        quota, state = cls(root), bytearray(_STATE.size)
        _STATE.pack_into(state, 0, 1, 0)
        try:
            quota._control(_GET_STATE, 0, state)
        except OSError:
            return None
        return quota if _STATE.unpack(state)[1] & _ENFORCED else None

    def limit(self, directory: Path, size: int) -> None:
        """Let a new, empty directory and all that will be made in it hold `size` bytes. SystemFailure."""
        try:
            project = self._free()
            _assign(directory, project)
            self._set(project, size)
        except OSError as error:
            raise SystemFailure(f"cannot limit the size of {directory}: {error.strerror}") from error

    def release(self, directory: Path, remove: Callable[[], None]) -> None:
        """Have a directory, limited or not, removed, and its limit with it; what fails is left for `forget_unused`."""
        project = 0
        with suppress(OSError):
            project = project_of(directory)
        remove()
        if project in _OURS:
            with suppress(OSError):
                self._set(project, 0)

    def used(self, directory: Path) -> tuple[int, int]:
        """The (bytes, inodes) that a limited directory holds. Raises OSError."""
        return self._taken(project_of(directory))

    def forget_unused(self) -> None:
        """Take the limits back of which no file is left: a directory was removed by a daemon that died."""
        for project, inodes in list(self._limits()):
            if inodes == 0:
                self._set(project, 0)

    def limits(self) -> list[int]:
        """The projects of limited directories, those of other daemons on the file system among them."""
        return [project for project, _ in self._limits()]

    def _limits(self) -> Iterator[tuple[int, int]]:
        """(project, inodes) of each that is limited."""
        project = _OURS.start
        while project in _OURS:
            quota = _request(project)
            try:
                self._control(_GET_NEXT, project, quota)
            except OSError:  # there are no more
                return
            _, _, _, project, hard, *_, inodes = _QUOTA.unpack(quota)[:10]
            if project in _OURS and hard:
                yield project, inodes
            project += 1

    def _free(self) -> int:
        """A number that nobody has: by chance, so that two daemons on one file system do not choose the same."""
        for _ in range(_TRIES):
            project = _OURS.start + secrets.randbelow(len(_OURS))
            if self._taken(project) == (0, 0):
                return project
        raise OSError(errno.EBUSY, "no project is free")

    def _taken(self, project: int) -> tuple[int, int]:
        quota = _request(project)
        try:
            self._control(_GET, project, quota)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ESRCH):
                return 0, 0
            raise
        numbers = _QUOTA.unpack(quota)
        return numbers[8] * _BLOCK, numbers[9]

    def _set(self, project: int, size: int) -> None:
        self._control(_SET_LIMIT, project, _request(project, _SOFT | _HARD, -(-size // _BLOCK)))

    def _control(self, command: int, project: int, data: bytearray) -> None:
        fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            buffer = (ctypes.c_char * len(data)).from_buffer(data)
            if _libc.syscall(ctypes.c_long(_QUOTACTL_FD), fd, ctypes.c_uint(command), project, buffer) != 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
        finally:
            os.close(fd)


def project_of(directory: Path) -> int:
    """The project of a directory, 0 for none. Raises OSError, also where the file system knows of none."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return int(_XATTR.unpack(fcntl.ioctl(fd, _GET_XATTR, bytes(_XATTR.size)))[3])
    finally:
        os.close(fd)


def _assign(directory: Path, project: int) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        flags, extent, extents, _, copies = _XATTR.unpack(fcntl.ioctl(fd, _GET_XATTR, bytes(_XATTR.size)))
        wanted = _XATTR.pack(flags | _PROJECT_INHERITED, extent, extents, project, copies)
        fcntl.ioctl(fd, _SET_XATTR, wanted)
    finally:
        os.close(fd)


def _request(project: int, fields: int = 0, blocks: int = 0) -> bytearray:
    numbers = (blocks, blocks, *[0] * 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    return bytearray(_QUOTA.pack(1, _PROJECT, fields, project, *numbers))
