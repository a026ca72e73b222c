"""A tar stream to files of the container, by Docker's rules for copies; the container is our root.

They are those of layers, but for this: there are no whiteouts, the directory that is copied into stays as it is, a
directory and something else may be kept from replacing one another, and all files may be made one user's.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress

from errdefs import InvalidArgument
from runtime.archive import resource
from runtime.archive.order import Part
from runtime.layers import header as tar
from runtime.layers.decompression import Decompression
from runtime.layers.extract import Extractor, clean
from runtime.layers.header import Header, show
from runtime.layers.limits import Limits
from runtime.layers.reader import Source, entries
from runtime.spec import user
from runtime.spec.identity import HOST, Identity

_READ = 1 << 18
_MAX_ACCOUNTS = 16 << 20  # bytes of /etc/passwd or /etc/group
_CAPABILITY = b"security.capability"
_REVISION_2, _REVISION_3 = b"\2", b"\3"  # in the uppermost byte of a little-endian word
_KNOWN = (
    tar.REGULAR,
    tar.HARD_LINK,
    tar.SYMLINK,
    tar.CHARACTER,
    tar.BLOCK_DEVICE,
    tar.DIRECTORY,
    tar.FIFO,
)


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
    os.chdir(real)
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
    with os.fdopen(fd, "rb") as file:
        return file.read(_MAX_ACCOUNTS) if stat.S_ISREG(os.fstat(fd).st_mode) else None


def extract(
    stream: int,
    limits: Limits,
    *,
    owner: tuple[int, int] | None,
    keep_kinds: bool,
    identity: Identity = HOST,
) -> None:
    """Unpack what comes on a descriptor into the current directory, compressed or not, and read to its end.

    `owner`: the ids that all of it gets, as the container has them; `identity` tells what they are on the host.
    InvalidArgument for what cannot be, SystemFailure for the host's faults; what came until then stays.
    """
    chunks = _chunks(stream, limits)
    source = Source(chunks)
    _Copier(source, limits.size, owner, identity, keep_kinds=keep_kinds).extract(
        entries(source, limits.entries)
    )
    source.drain()


def _chunks(stream: int, limits: Limits) -> Iterator[bytes]:
    decompression = Decompression(limits)
    while data := os.read(stream, _READ):
        yield from filter(None, decompression.feed(data))
    yield from filter(None, decompression.finish())


class _NoWhiteouts:
    """See runtime.layers.whiteouts.Whiteouts: here nothing is one."""

    def hide(self, path: bytes) -> None:
        """Never asked."""

    def hide_content(self, directory: bytes) -> None:
        """Never asked."""

    def replace(self, path: bytes) -> bool:  # noqa: ARG002
        """See Whiteouts."""
        return False

    def renew(self, directory: bytes) -> None:
        """Never asked."""

    def made(self, path: bytes) -> None:
        """See Whiteouts."""


class _Copier(Extractor):
    """An extractor by the rules of copies."""

    def __init__(
        self,
        source: Source,
        max_file: int,
        owner: tuple[int, int] | None,
        identity: Identity,
        *,
        keep_kinds: bool,
    ) -> None:
        super().__init__(source, _NoWhiteouts(), max_file)
        self._owner = owner
        self._identity = identity
        self._keep_kinds = keep_kinds
        self._into = os.fsdecode(self._here.rstrip(b"/") or b"/")

    def _name_of(self, entry: Header) -> bytes:
        try:
            return clean(entry.name)
        except InvalidArgument:
            told = os.path.normpath(os.fsdecode(entry.name))
            raise InvalidArgument(f'"{told}" is outside of "{self._into}"') from None

    def _place(self, entry: Header) -> None:
        name = self._name_of(entry)
        if not name:
            return
        if entry.type not in _KNOWN:
            raise InvalidArgument(f"unhandled tar header type {entry.type[0]}")
        if self._owner is not None:
            entry.uid, entry.gid = self._owner
        if self._identity.remapped:
            self._shift(entry)
        self._forget_much()
        parent, _, base = name.rpartition(b"/")
        real = self._directory_of(parent)
        if self._keep_kinds:
            self._require_same_kind(entry, name, real + b"/" + base if real else base)
        self._put(entry, real, base)

    def _shift(self, entry: Header) -> None:
        """Give an entry the host's ids of its container's."""
        entry.uid = self._identity.uid_outside(entry.uid)
        entry.gid = self._identity.gid_outside(entry.gid)
        entry.xattrs = [(name, self._outside(name, value)) for name, value in entry.xattrs]

    def _outside(self, name: bytes, value: bytes) -> bytes:
        """Capabilities that count for root, as they count for the root of a user namespace."""
        if name != _CAPABILITY or value[3:4] != _REVISION_2:
            return value
        return value[:3] + _REVISION_3 + value[4:] + self._identity.root[0].to_bytes(4, "little")

    def _make_parent(self, path: bytes) -> None:
        super()._make_parent(path)
        if self._identity.remapped:
            os.chown(path, *self._identity.root, follow_symlinks=False)

    def _require_same_kind(self, entry: Header, name: bytes, path: bytes) -> None:
        found: os.stat_result | None = None
        with suppress(FileNotFoundError):
            found = os.lstat(path)
        is_directory = entry.type == tar.DIRECTORY
        if found is None or stat.S_ISDIR(found.st_mode) == is_directory:
            return
        kinds = ("non-directory", "directory")
        there, here = kinds[not is_directory], kinds[is_directory]
        shown = os.path.join(self._into, show(name)[1:-1])
        raise InvalidArgument(f'cannot overwrite {there} "{shown}" with {here} "{self._into}"')
