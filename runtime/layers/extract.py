"""A layer's entries to files, below the current directory, in a process whose root keeps every path inside.

In a chroot the kernel itself does. So a layer may go through links that it or a lower layer made, and ends up inside
the root; a container's files may even change meanwhile. Docker's rules: a name is
taken relative to the root and cleaned, one that climbs out is refused; what stands in the way of an entry
is replaced, except that a directory keeps its content.
"""

import os
import stat
from collections.abc import Iterable

from errdefs import InvalidArgument
from runtime.layers import header as tar
from runtime.layers.directories import Directories
from runtime.layers.header import Header, show
from runtime.layers.names import clean, failure
from runtime.layers.nodes import make, set_xattrs
from runtime.layers.reader import Source
from runtime.layers.whiteouts import Whiteouts, delete

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a file is opened that is made."""
_WHITEOUT = b".wh."
_META = b".wh..wh."
_OPAQUE = b".wh..wh..opq"


class Extractor:
    """Makes files of entries; `size` counts their bytes as Docker does for an image: links too, hard links once.

    `describes_root` tells whether one of the entries is the root directory.
    """

    def __init__(self, source: Source, whiteouts: Whiteouts, directories: Directories, max_file: int) -> None:
        """Extract from `source`; no file may be larger than `max_file` bytes."""
        self.size = 0
        self.describes_root = False
        self._source = source
        self._whiteouts = whiteouts
        self._directories = directories
        self._max_file = max_file
        self._inherits_group = bool(os.stat(b".").st_mode & stat.S_ISGID)

    def extract(self, entries: Iterable[Header]) -> None:
        """Make all entries; InvalidArgument for a hostile or broken archive, SystemFailure for the host's faults."""
        for entry in entries:
            try:
                self._place(entry)
            except (OSError, ValueError) as error:
                raise failure(entry.name, error) from error
        self._directories.settle()

    def _place(self, entry: Header) -> None:
        name = clean(entry.name)
        if name.startswith(_META) and not name.endswith(_OPAQUE):
            return  # bookkeeping of AUFS
        parent, _, base = name.rpartition(b"/")
        if base.startswith(_WHITEOUT):
            self._whiteout(self._directories.of(parent), base)
        else:
            self._put(entry, self._directories.of(parent), base)

    def _put(self, entry: Header, real: bytes, base: bytes) -> None:
        """Make an entry in the directory `real`, under the name `base`."""
        path = real + b"/" + base if real else base
        if entry.type == tar.DIRECTORY:
            self._directory(entry, path)
        elif not base:
            raise InvalidArgument("archive entry: the root directory cannot be replaced")
        elif entry.type == tar.REGULAR:
            self._file(entry, path)
        else:
            self._other(entry, path)
        self._whiteouts.made(path)

    def _whiteout(self, parent: bytes, base: bytes) -> None:
        hidden = base[len(_WHITEOUT) :]
        if base == _OPAQUE:
            self._whiteouts.hide_content(parent)
        elif base.startswith(_META):
            return
        elif hidden in (b"", b".", b".."):
            raise InvalidArgument(f"archive entry {show(base)}: a whiteout of no name")
        else:
            self._whiteouts.hide(parent + b"/" + hidden if parent else hidden)

    def _directory(self, entry: Header, path: bytes) -> None:
        is_new = bool(path) and self._have_directory(path)
        if not path:
            self.describes_root = True
        self._inherits_group = self._inherits_group or bool(entry.mode & stat.S_ISGID)
        path = path or b"."
        self._own(entry, path, is_new=is_new)
        if entry.xattrs:
            self._directories.given_attributes(path)
        self._directories.remember(path, entry.mtime)

    def _have_directory(self, path: bytes) -> bool:
        """Have a directory where there may be something else; whether it was made now."""
        try:
            self._make_directory(path)
        except FileExistsError:
            if stat.S_ISDIR(os.lstat(path).st_mode):
                return False
            gone = self._whiteouts.replace(path)
            os.unlink(path)
            self._make_directory(path)
            if gone:
                self._whiteouts.renew(path)
        return True

    def _make_directory(self, path: bytes) -> None:
        """Make a directory that the archive tells of; its mode comes later."""
        os.mkdir(path, 0o700)

    def _file(self, entry: Header, path: bytes) -> None:
        if entry.real_size > self._max_file:
            raise InvalidArgument(f"archive entry {show(entry.name)} is larger than {self._max_file} bytes")
        # Writing and chown(2) clear the upper bits. Our umask is 0.
        final = (
            not entry.mode & 0o7000
            and not entry.xattrs
            and self._directories.is_exact(path.rpartition(b"/")[0] or b".")
        )
        mode = entry.mode if final else 0o600
        try:
            fd = os.open(path, NEW_FILE, mode)
        except FileExistsError:
            self._clear(path)
            fd = os.open(path, NEW_FILE, mode)
        try:
            if entry.extents is not None:
                self._write_extents(entry, fd)
            elif entry.size:
                self._source.copy(fd, entry.size)
            if entry.uid or entry.gid or self._inherits_group:
                os.fchown(fd, entry.uid, entry.gid)
            if entry.xattrs:
                set_xattrs(fd, entry)
            if not final:
                os.fchmod(fd, entry.mode)
            os.utime(fd, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(fd)
        self.size += entry.real_size

    def _write_extents(self, entry: Header, fd: int) -> None:
        for offset, length in tar.spans(entry.extents):
            os.lseek(fd, offset, os.SEEK_SET)
            self._source.copy(fd, length)
        os.ftruncate(fd, entry.real_size)

    def _other(self, entry: Header, path: bytes) -> None:
        target = self._link_target(entry.link) if entry.type == tar.HARD_LINK else entry.link
        if entry.type == tar.HARD_LINK and target == path:
            return
        try:
            make(entry, target, path)
        except FileExistsError:
            self._clear(path)
            make(entry, target, path)
        if entry.type == tar.SYMLINK:
            self.size += len(target)
        if entry.type == tar.HARD_LINK:
            self._obey(entry, path)
        else:
            self._own(entry, path, is_new=True)
            os.utime(path, ns=(entry.mtime, entry.mtime), follow_symlinks=False)

    def _obey(self, entry: Header, path: bytes) -> None:
        """Have a file as a hard link's entry tells of it, as Docker does.

        Only what differs: a needless chown would clear the file's capabilities.
        """
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            return
        if (entry.mode, entry.uid, entry.gid) != (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid):
            self._own(entry, path, is_new=False)
        if found.st_mtime_ns != entry.mtime:
            os.utime(path, ns=(entry.mtime, entry.mtime))

    def _link_target(self, link: bytes) -> bytes:
        name = clean(link)
        parent, _, base = name.rpartition(b"/")
        real = self._directories.known(parent)
        return real + b"/" + base if real else base

    def _own(self, entry: Header, path: bytes, *, is_new: bool) -> None:
        """Give it owner, attributes and mode; what `is_new` is root's already."""
        if entry.uid or entry.gid or self._inherits_group or not is_new:
            os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
        if entry.xattrs:
            set_xattrs(path, entry)
        if entry.type != tar.SYMLINK:
            os.chmod(path, entry.mode)

    def _clear(self, path: bytes) -> None:
        """Make room for an entry; what we knew of directories may be wrong once one of them or a link is gone."""
        self._directories.settle()
        parent = path.rpartition(b"/")[0] or b"."
        self._directories.remember(parent, os.stat(parent).st_mtime_ns)
        delete(path)
