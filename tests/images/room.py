"""A place for large images: in memory where that can hold them, since some disks take half a minute to remove one."""

import os
import tempfile
from pathlib import Path

from tests.roots import make_root

_MEMORY = "/dev/shm"
_ENOUGH = 6 << 30  # bytes: what the tests have there at a time, four times over


def roomy_root() -> Path:
    """Make a directory with a short path, on a filesystem that keeps all attributes."""
    if os.access(_MEMORY, os.W_OK):
        free = os.statvfs(_MEMORY)
        made = Path(tempfile.mkdtemp(prefix="wherry-", dir=_MEMORY))
        if free.f_bavail * free.f_frsize >= _ENOUGH and _keeps_attributes(made):
            return made
        made.rmdir()
    return make_root()


def _keeps_attributes(directory: Path) -> bool:
    """Whether users' attributes are kept: a tmpfs does since Linux 6.6."""
    try:
        os.setxattr(directory, "user.wherry", b"1")
        os.removexattr(directory, "user.wherry")
    except OSError:
        return False
    return True
