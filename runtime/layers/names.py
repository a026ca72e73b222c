"""Names of an archive's entries, and whose fault it is that one cannot be made."""

import errno
import os

from errdefs import InvalidArgument, SystemFailure
from runtime.layers.header import show

_MAX_NAME = 4096
# The archive's doing; all other failures are the host's.
# fmt: off
_HOSTILE = frozenset((
    errno.E2BIG, errno.EBUSY, errno.EEXIST, errno.EFBIG, errno.EILSEQ, errno.EINVAL,
    errno.EISDIR, errno.ELOOP, errno.EMLINK, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR,
    errno.EOVERFLOW, errno.ERANGE, errno.EXDEV,
))
# fmt: on


def clean(name: bytes) -> bytes:
    """Return a name as a path relative to the root, b"" for the root; InvalidArgument when it climbs out."""
    if len(name) > _MAX_NAME:
        raise InvalidArgument(f"archive entry {show(name)}: {os.strerror(errno.ENAMETOOLONG)}")
    if b"//" not in name and b"." not in name and name[:1] != b"/" and name[-1:] != b"/":
        return name
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise InvalidArgument(f"archive entry {show(name)} leads out of its root")
            parts.pop()
        elif part and part != b".":
            parts.append(part)
    return b"/".join(parts)


def failure(name: bytes, error: OSError | ValueError) -> InvalidArgument | SystemFailure:
    """How it is told that the entry of that name cannot be made: the archive's fault, or the host's."""
    if isinstance(error, ValueError):  # a number the C library cannot take, a NUL in a name
        return InvalidArgument(f"archive entry {show(name)}: {error}")
    text = f"archive entry {show(name)}: {error.strerror}"
    return InvalidArgument(text) if error.errno in _HOSTILE else SystemFailure(text)
