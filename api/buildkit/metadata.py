"""What a client tells of a file, and what a file here is like: owner, mode, xattrs, time."""

import os
import stat
from contextlib import suppress
from typing import Final

from api.buildkit import filemode
from api.buildkit.protos.session_pb2 import Stat

_XATTRS: Final = ("user.", "security.capability")
"""What names of xattrs that are taken over begin with."""


def same_owner(entry: Stat, found: os.stat_result) -> bool:
    """Whether owner and permissions are the same."""
    return (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (
        filemode.permissions(entry.mode),
        entry.uid,
        entry.gid,
    )


def wanted_xattrs(entry: Stat) -> dict[str, bytes]:
    """Those of an entry that are taken over."""
    if not entry.xattrs:
        return {}
    return {key: value for key, value in entry.xattrs.items() if key.startswith(_XATTRS)}


def xattrs(name: str, directory: int) -> dict[str, bytes]:
    """Those that a file has of such."""
    place = f"/proc/self/fd/{directory}/{name}"
    with suppress(OSError):  # not every file system has them
        names = os.listxattr(place, follow_symlinks=False)
        return {
            key: os.getxattr(place, key, follow_symlinks=False) for key in names if key.startswith(_XATTRS)
        }
    return {}


def make_node(entry: Stat, name: str, parent: int) -> None:
    """A device or a fifo."""
    kind = stat.S_IFIFO if entry.mode & filemode.FIFO else stat.S_IFBLK
    kind = stat.S_IFCHR if entry.mode & filemode.CHARACTER else kind
    os.mknod(name, kind | 0o600, os.makedev(entry.devmajor, entry.devminor), dir_fd=parent)
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        finish(f"/proc/self/fd/{fd}", entry)
    finally:
        os.close(fd)


def finish(place: int | str, entry: Stat) -> None:
    """Owner first: changing it takes special bits away."""
    os.chown(place, entry.uid, entry.gid)
    os.chmod(place, filemode.permissions(entry.mode))
    for key, value in wanted_xattrs(entry).items():
        with suppress(OSError):  # as fsutil: not every file system has them
            os.setxattr(place, key, value)
    os.utime(place, ns=(entry.modTime, entry.modTime))
