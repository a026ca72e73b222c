"""Modes of files as Go's os.FileMode has them, which fsutil's protocol carries, and as the kernel has them. Pure."""

import stat
from typing import Final

DIRECTORY: Final = 1 << 31
SYMLINK: Final = 1 << 27
DEVICE: Final = 1 << 26
FIFO: Final = 1 << 25
SOCKET: Final = 1 << 24
CHARACTER: Final = 1 << 21
_IRREGULAR: Final = 1 << 19
TYPES: Final = DIRECTORY | SYMLINK | DEVICE | FIFO | SOCKET | CHARACTER | _IRREGULAR
_BITS: Final = ((1 << 23, stat.S_ISUID), (1 << 22, stat.S_ISGID), (1 << 20, stat.S_ISVTX))
_KINDS: Final = {
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFBLK: DEVICE,
    stat.S_IFCHR: DEVICE | CHARACTER,
    stat.S_IFIFO: FIFO,
    stat.S_IFSOCK: SOCKET,
}


def permissions(mode: int) -> int:
    """The kernel's twelve bits of a Go mode."""
    return (mode & 0o777) | sum(bit for theirs, bit in _BITS if mode & theirs)


def from_kernel(mode: int) -> int:
    """The Go mode of what lstat(2) tells."""
    special = sum(theirs for theirs, bit in _BITS if mode & bit)
    return (mode & 0o777) | special | _KINDS.get(stat.S_IFMT(mode), 0)
