"""What Docker puts in every container's root beside the image's files: programs look there to know where they run, and
what is mounted. It is no change of the container's.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from runtime.layers.lower import Lower

CONTAINER = ".dockerenv"
MOUNTS, MOUNTS_TARGET = "mtab", "/proc/mounts"
PATHS = frozenset({f"/{CONTAINER}", f"/etc/{MOUNTS}"})


def add_marks(upper: Path, below: Sequence[Path]) -> None:
    """Make `.dockerenv` and `etc/mtab` in the directory of a new snapshot, unless the image has them. OSError."""
    lower = Lower(below)
    root = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _is_there(lower, root, CONTAINER):
            os.close(
                os.open(CONTAINER, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o755, dir_fd=root)
            )
        etc = _open_etc(lower, root)
        if etc >= 0:
            try:
                lower.enter("etc")
                if not _is_there(lower, etc, MOUNTS):
                    os.symlink(MOUNTS_TARGET, MOUNTS, dir_fd=etc)
            finally:
                os.close(etc)
    finally:
        os.close(root)
        lower.close()


def size(upper: Path) -> int:
    """How many bytes of a snapshot's own are these marks: no size of the container's. Blocks."""
    try:
        etc = os.open(upper / "etc", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return len(MOUNTS_TARGET) if os.readlink(MOUNTS, dir_fd=etc) == MOUNTS_TARGET else 0
    except OSError:
        return 0
    finally:
        os.close(etc)


def _is_there(lower: Lower, own: int, name: str) -> bool:
    return lower.find(name) is not None or name in os.listdir(own)


def _open_etc(lower: Lower, root: int) -> int:
    """The snapshot's own etc, made like that below; -1 where the image has another thing by that name."""
    found = lower.find("etc")
    if found is not None and not stat.S_ISDIR(found.st_mode):
        return -1
    try:
        os.mkdir("etc", 0o755, dir_fd=root)
    except FileExistsError:  # the snapshot is a copy of all
        found = None
    try:
        etc = os.open("etc", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root)
    except NotADirectoryError:
        return -1
    if found is not None:
        os.fchown(etc, found.st_uid, found.st_gid)
        os.fchmod(etc, stat.S_IMODE(found.st_mode))
        os.utime(etc, ns=(found.st_atime_ns, found.st_mtime_ns))
    return etc
