"""Where a filesystem puts what is made: a hint for ext4, nothing elsewhere."""

import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602  # FS_IOC_GETFLAGS, FS_IOC_SETFLAGS
_TOP_DIRECTORY = 0x00020000  # FS_TOPDIR_FL, chattr's T
_flags = struct.Struct("@l")


def spread(directory: Path) -> None:
    """Say that directories in this one have nothing to do with one another; those made from now on lie apart.

    Each then goes, with all in it, to a part of the disk that has few directories. OSError if `directory`
    is none.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # most filesystems have no such flag
            (flags,) = _flags.unpack(fcntl.ioctl(fd, _GET_FLAGS, _flags.pack(0)))
            fcntl.ioctl(fd, _SET_FLAGS, _flags.pack(flags | _TOP_DIRECTORY))
    finally:
        os.close(fd)
