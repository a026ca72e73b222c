"""An extractor by Docker's rules for copies; the container is our root.

They are those of layers, but for this: there are no whiteouts, a directory and something else may be kept from
replacing one another, and all files may be made one user's.
"""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress

from errdefs import InvalidArgument
from runtime.archive import resource
from runtime.archive.small import LARGEST, SmallFiles
from runtime.layers import header as tar
from runtime.layers.directories import Directories
from runtime.layers.extract import Extractor
from runtime.layers.header import Header, show
from runtime.layers.names import clean
from runtime.layers.reader import Source
from runtime.layers.whiteouts import Whiteouts
from runtime.spec.identity import Identity

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


class _Directories(Directories):
    """Those of a container, and what the archive itself has put into the ones that it has made."""

    def __init__(self, whiteouts: Whiteouts, small: SmallFiles, identity: Identity) -> None:
        super().__init__(whiteouts)
        self._small = small
        self._identity = identity
        # The directories that the archive has made, with the names in them.
        self._new: dict[bytes, set[bytes]] = {}

    def settle(self) -> None:
        """See Directories."""
        self._small.wait()
        super().settle()
        self._new = {}

    def made(self, path: bytes) -> None:
        """The archive has made it."""
        self._new[path] = set()

    def is_free(self, directory: bytes, base: bytes) -> bool:
        """Whether the archive itself has made the directory, and nothing of that name in it; the name is taken now."""
        names = self._new.get(directory)
        if names is None or base in names:
            return False
        names.add(base)
        self._known += len(base) + 100
        return True

    def _parent(self, name: bytes) -> bytes:
        self._small.wait()  # what is called so may be one of those
        return super()._parent(name)

    def _make_parent(self, path: bytes) -> None:
        super()._make_parent(path)
        above, _, base = path.rpartition(b"/")
        self.is_free(above, base)
        self.made(path)
        if self._identity.remapped:
            os.chown(path, *self._identity.root, follow_symlinks=False)


class Copier(Extractor):
    """An extractor by the rules of copies."""

    _directories: _Directories

    def __init__(
        self,
        source: Source,
        small: SmallFiles,
        max_file: int,
        owner: tuple[int, int] | None,
        identity: Identity,
        *,
        keep_kinds: bool,
    ) -> None:
        whiteouts = _NoWhiteouts()
        super().__init__(source, whiteouts, _Directories(whiteouts, small, identity), max_file)
        self._owner = owner
        self._identity = identity
        self._remapped = identity.remapped
        self._small = small
        self._keep_kinds = keep_kinds
        self._into = os.getcwd()

    def _name_of(self, entry: Header) -> bytes:
        try:
            return clean(entry.name)
        except InvalidArgument:
            told = os.path.normpath(os.fsdecode(entry.name))
            raise InvalidArgument(f'"{told}" is outside of "{self._into}"') from None

    def extract(self, entries: Iterable[Header]) -> None:
        """See Extractor. Of failures the first in the archive is told, whatever was made out of order."""
        try:
            super().extract(entries)
        except Exception:
            self._small.wait()
            raise

    def _place(self, entry: Header) -> None:
        try:
            self._place_known(entry)
        except (OSError, ValueError) as error:
            raise resource.failure(entry.name, error) from error

    def _place_known(self, entry: Header) -> None:
        name = self._name_of(entry)
        if not name:
            return
        if entry.type not in _KNOWN:
            raise InvalidArgument(f"unhandled tar header type {entry.type[0]}")
        if self._owner is not None:
            entry.uid, entry.gid = self._owner
        if self._remapped:
            self._shift(entry)
        parent, _, base = name.rpartition(b"/")
        real = self._directories.of(parent)
        if self._directories.is_free(real, base):
            self._put_new(entry, real, base)
            return
        self._small.wait()
        if self._keep_kinds:
            self._require_same_kind(entry, name, real + b"/" + base if real else base)
        self._put(entry, real, base)

    def _put_new(self, entry: Header, real: bytes, base: bytes) -> None:
        """Put an entry where nothing is: it may be there before those that are to be made."""
        if (
            entry.type == tar.REGULAR
            and entry.size <= LARGEST
            and entry.extents is None
            and not entry.xattrs
            and not entry.mode & 0o7000
            and self._directories.is_exact(real)
        ):
            owner = (entry.uid, entry.gid) if entry.uid or entry.gid or self._inherits_group else None
            content = self._source.exactly(entry.size)
            self._small.add((entry.name, real + b"/" + base, entry.mode, owner, entry.mtime, content))
            self.size += entry.size
            return
        if entry.type == tar.HARD_LINK:
            self._small.wait()  # it may be one of those
        self._put(entry, real, base)

    def _make_directory(self, path: bytes) -> None:
        super()._make_directory(path)
        self._directories.made(path)

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
