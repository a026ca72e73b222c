"""What an earlier transfer left of a tree, compared with what a client says is there now.

A file whose kind, mode, owner, size, time and xattrs are the same is taken for the same, as BuildKit does.
"""

import os
import stat
from pathlib import Path

from api.buildkit import filemode, metadata
from api.buildkit.protos.session_pb2 import Stat
from runtime import tree


def same(entry: Stat, name: str, directory: int, found: os.stat_result) -> bool:
    """Whether what was found in a directory is what the entry tells of, its content included.

    Hard links and directories are not told: what is in them, or where else they are, is more than one entry says.
    """
    if filemode.from_kernel(found.st_mode) & filemode.TYPES != entry.mode & filemode.TYPES:
        return False
    if stat.S_ISLNK(found.st_mode):
        target = os.readlink(os.fsencode(name), dir_fd=directory)
        return (found.st_uid, found.st_gid, found.st_mtime_ns, target) == (
            entry.uid,
            entry.gid,
            entry.modTime,
            entry.linkname,
        )
    if stat.S_ISREG(found.st_mode):
        if (found.st_size, found.st_mtime_ns) != (entry.size, entry.modTime):
            return False
    elif found.st_rdev != os.makedev(entry.devmajor, entry.devminor):
        return False
    return metadata.same_owner(entry, found) and metadata.xattrs(name, directory) == metadata.wanted_xattrs(
        entry
    )


def remove(name: str, directory: int) -> None:
    """Take away what is called so in a directory, however deep it is."""
    try:
        os.unlink(name, dir_fd=directory)
    except IsADirectoryError:
        tree.remove(Path(f"/proc/self/fd/{directory}/{name}"))
