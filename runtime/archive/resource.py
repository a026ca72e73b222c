"""What a path in a container means to those who copy, and the facts of the file there; the container is our root.

A path is absolute, cleaned, and keeps its end: "/d/" and "/d/." are what a link leads to, "/d" may be the link.
"""

import errno
import os
import posixpath
import stat
from collections import deque

from errdefs import InvalidArgument, NotFound, SystemFailure
from runtime.archive.order import PathStat
from runtime.layers import header, names

_MAX_LINKS = 255
_MISSING = (errno.ENOENT,)
CHANGED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What is met where the container has just put something else in a file's place, or nothing."""
DENIED = (errno.EPERM, errno.EROFS)
"""What is met where the container lets nobody write: its files are immutable, its file systems read-only."""
# Go's os.FileMode
_TYPES = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


def absolute(path: str) -> str:
    """The path as it counts."""
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    last = path.rpartition("/")[2]
    if last == ".":
        return cleaned.rstrip("/") + "/."
    if path.endswith("/") and cleaned != "/":
        return cleaned + "/"
    return cleaned


def base(path: str) -> str:
    """What the file is called: "/" for the root, "." for what is in a directory."""
    return path.rstrip("/").rpartition("/")[2] or "/"


def facts(path: str, called: str) -> PathStat:
    """The facts of the file at an absolute path; NotFound and InvalidArgument in Docker's words."""
    found = look(path)
    mode = found.st_mode
    target = follow(path) if stat.S_ISLNK(mode) else ""
    shown = stat.S_IMODE(mode) & 0o777 | _TYPES.get(stat.S_IFMT(mode), 0)
    shown |= sum(bit for held, bit in _BITS if mode & held)
    return PathStat(called, found.st_size, shown, found.st_mtime_ns, target)


def look(path: str) -> os.stat_result:
    """lstat(2); NotFound and InvalidArgument in Docker's words."""
    try:
        return os.lstat(path)
    except (OSError, ValueError) as error:
        raise refused(error, f"lstat {path}: ") from error


def refused(error: OSError | ValueError, what: str = "") -> NotFound | InvalidArgument:
    """How a path that leads nowhere is told."""
    if isinstance(error, ValueError):  # a NUL
        return InvalidArgument(f"{what}invalid argument")
    kind = NotFound if error.errno in _MISSING else InvalidArgument
    return kind(what + (error.strerror or "").lower())


def failure(name: bytes, error: OSError | ValueError) -> InvalidArgument | SystemFailure:
    """How it is told that the entry of that name cannot be made: here it may be the container's fault, too."""
    # It has filled a directory that is being removed, or lets nobody write.
    if isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, *DENIED):
        return InvalidArgument(f"archive entry {header.show(name)}: {error.strerror}")
    return names.failure(name, error)


def resolve(path: str) -> str:
    """The path through no link; NotFound and InvalidArgument in Docker's words."""
    try:
        return os.path.realpath(path, strict=True)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            raise InvalidArgument("EvalSymlinks: too many links") from error
        raise refused(error) from error


def follow(path: str) -> str:
    """Where a link leads in the end, as far as there is something."""
    left = deque(path.split("/"))
    here: list[str] = []
    links = 0
    while left:
        name = left.popleft()
        if name in ("", "."):
            continue
        if name == "..":
            here = here[:-1]
            continue
        try:
            target = os.readlink("/" + "/".join([*here, name]))
        except OSError:
            here.append(name)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise InvalidArgument(f"evalSymlinksInScope: too many links in {path}")
        if target.startswith("/"):
            here = []
        left.extendleft(reversed(target.split("/")))
    return "/" + "/".join(here)
