"""A tar stream to files of the container, below a directory that stays as it is; the container is our root."""

import os
import stat
from collections.abc import Iterator, Sequence

from errdefs import InvalidArgument
from runtime.archive import resource
from runtime.archive.copier import Copier
from runtime.archive.order import Part
from runtime.archive.small import SmallFiles
from runtime.layers.decompression import Decompression
from runtime.layers.limits import Limits
from runtime.layers.reader import Source, entries
from runtime.spec import user
from runtime.spec.identity import HOST, Identity

_READ = 1 << 18
_MAX_ACCOUNTS = 16 << 20  # bytes of /etc/passwd or /etc/group


def require_writable(path: str, parts: Sequence[Part], *, read_only: bool) -> None:
    """Pass if files may be put at a path that leads through no link; InvalidArgument in Docker's words.

    Of the container's own mounts the one that is nearest counts, else its root.
    """
    above = [part for part in parts if part.user and _is_below(path, part.destination)]
    if above:
        if max(above, key=lambda part: len(part.destination)).read_only:
            raise InvalidArgument("mounted volume is marked read-only")
    elif read_only:
        raise InvalidArgument("container rootfs is marked read-only")


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def enter(path: str) -> str:
    """Go to the directory at an absolute path; what it is called without links."""
    real = resource.resolve(path)
    end = "/." if path.endswith("/.") else "/" if path.endswith("/") else ""
    if not stat.S_ISDIR(resource.look(real + end).st_mode):
        raise InvalidArgument("extraction point is not a directory")
    try:
        os.chdir(real)
    except OSError as error:  # the container has just put something else there
        raise resource.refused(error, f"chdir {real}: ") from error
    return real


def owner(name: str) -> tuple[int, int]:
    """The ids of a user of the container, and of its group; InvalidArgument for one that it does not know."""
    found = user.resolve(name, (), accounts("/etc/passwd"), accounts("/etc/group"))
    return found.uid, found.gid


def accounts(path: str) -> bytes | None:
    """What a file holds, None where there is none; what is there may be anything."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        with open(fd, "rb", closefd=False) as file:
            return file.read(_MAX_ACCOUNTS)
    finally:
        os.close(fd)


def extract(
    stream: int,
    limits: Limits,
    *,
    owner: tuple[int, int] | None,
    keep_kinds: bool,
    identity: Identity = HOST,
    may_fork: bool = False,
) -> None:
    """Unpack what comes on a descriptor into the current directory, compressed or not, and read to its end.

    `owner`: the ids that all of it gets, as the container has them; `identity` tells what they are on the host.
    `may_fork`: many small files may be made by a second process as well, which ends with us.
    InvalidArgument for what cannot be, SystemFailure for the host's faults; what came until then stays.
    """
    chunks = _chunks(stream, limits)
    source = Source(chunks)
    small = SmallFiles(may_fork=may_fork)
    try:
        copier = Copier(source, small, limits.size, owner, identity, keep_kinds=keep_kinds)
    except FileNotFoundError as error:  # of getcwd(3): the container has removed it since we entered it
        raise resource.refused(error, "the directory to copy to has been removed meanwhile: ") from error
    copier.extract(entries(source, limits.entries))
    source.drain()


def _chunks(stream: int, limits: Limits) -> Iterator[bytes]:
    decompression = Decompression(limits)
    while data := os.read(stream, _READ):
        yield from filter(None, decompression.feed(data))
    yield from filter(None, decompression.finish())
