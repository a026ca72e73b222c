"""A layer's entries to files, below the current directory, in a process whose root keeps every path inside.

In a chroot the kernel itself does. So a layer may go through links that it or a lower layer made, and ends up inside
the root; a container's files may even change meanwhile. Docker's rules: a name is
taken relative to the root and cleaned, one that climbs out is refused; what stands in the way of an entry
is replaced, except that a directory keeps its content; missing parents are made 0755.
"""

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress

from errdefs import InvalidArgument
from runtime.layers import header as tar
from runtime.layers.header import Header, show
from runtime.layers.names import clean, failure
from runtime.layers.nodes import make, set_xattrs
from runtime.layers.reader import Source
from runtime.layers.whiteouts import Whiteouts, delete

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a file is opened that is made."""
_MAX_KNOWN = 4 << 20  # bytes of what is remembered of directories
_WHITEOUT = b".wh."
_META = b".wh..wh."
_OPAQUE = b".wh..wh..opq"


class Extractor:
    """Makes files of entries; `size` counts their bytes as Docker does for an image: links too, hard links once.

    `describes_root` tells whether one of the entries is the root directory.
    """

    def __init__(self, source: Source, whiteouts: Whiteouts, max_file: int) -> None:
        """Extract from `source`; no file may be larger than `max_file` bytes."""
        self.size = 0
        self.describes_root = False
        self._source = source
        self._whiteouts = whiteouts
        self._max_file = max_file
        # A parent as the archive names it → the directory that is, through no link.
        self._parents: dict[bytes, bytes] = {b"": b""}
        # The times of directories, which each entry made in them changes.
        self._times: dict[bytes, int] = {}
        self._known = 0
        # Directories in which a file gets the very mode that it is made with: none of their ACLs is inherited.
        self._exact: set[bytes] = set()
        self._here = os.getcwdb().rstrip(b"/") + b"/"
        self._inherits_group = bool(os.stat(b".").st_mode & stat.S_ISGID)

    def extract(self, entries: Iterable[Header]) -> None:
        """Make all entries; InvalidArgument for a hostile or broken archive, SystemFailure for the host's faults."""
        for entry in entries:
            try:
                self._place(entry)
            except (OSError, ValueError) as error:
                raise failure(entry.name, error) from error
        self._settle()

    def _settle(self) -> None:
        """Give directories their times back and forget them: a layer may have any number of them."""
        for path, mtime in self._times.items():
            with suppress(OSError):  # a whiteout may have removed it
                os.utime(path + b"/.", ns=(mtime, mtime))
        self._parents = {b"": b""}
        self._times = {}
        self._exact = set()
        self._known = 0
        self._remember(b".", os.stat(b".").st_mtime_ns)

    def _remember(self, path: bytes, mtime: int) -> None:
        self._times[path] = mtime
        self._known += 3 * len(path) + 400  # as it is in both tables, under its two names

    def _forget_much(self) -> None:
        """Forget all when it is much that is remembered."""
        if self._known > _MAX_KNOWN:
            self._settle()

    def _place(self, entry: Header) -> None:
        self._forget_much()
        name = clean(entry.name)
        if name.startswith(_META) and not name.endswith(_OPAQUE):
            return  # bookkeeping of AUFS
        parent, _, base = name.rpartition(b"/")
        if base.startswith(_WHITEOUT):
            self._whiteout(self._directory_of(parent), base)
        else:
            self._put(entry, self._directory_of(parent), base)

    def _directory_of(self, parent: bytes) -> bytes:
        real = self._parents.get(parent)
        return self._parent(parent) if real is None else real

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

    def _parent(self, name: bytes) -> bytes:
        """Return the directory that the parent called `name` is, made if need be."""
        above, _, base = name.rpartition(b"/")
        real = self._parents.get(above)
        if real is None:
            real = self._parent_of_deep(above)
        path = real + b"/" + base if real else base
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            self._make_parent(path)
            self._known += len(path) + 400
        else:
            path = self._existing(path, found)
        self._whiteouts.made(path)
        self._parents[name] = path
        return path

    def _make_parent(self, path: bytes) -> None:
        """Make a directory that the archive does not tell of."""
        os.mkdir(path, 0o755)

    def _existing(self, path: bytes, found: os.stat_result) -> bytes:
        """Return the directory that stands at `path`, or that a link there leads to."""
        if stat.S_ISLNK(found.st_mode):
            path = self._inside(os.path.realpath(path, strict=True))
            found = os.lstat(path or b".")
            if not stat.S_ISDIR(found.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        elif not stat.S_ISDIR(found.st_mode):
            self._renew(path)
            found = os.lstat(path)
        here = path or b"."
        self._remember(here, self._times.get(here, found.st_mtime_ns))
        return path

    def _inside(self, path: bytes) -> bytes:
        """An absolute path as the others are kept: relative to where we are, if it is below that."""
        below = path.rstrip(b"/") + b"/"
        return below[len(self._here) :].rstrip(b"/") if below.startswith(self._here) else path

    def _parent_of_deep(self, name: bytes) -> bytes:
        """Like `_parent`, for any number of missing levels."""
        parts = name.split(b"/")
        for depth in range(1, len(parts)):
            if (above := b"/".join(parts[:depth])) not in self._parents:
                self._parent(above)
        return self._parent(name)

    def _renew(self, path: bytes) -> None:
        """Make a directory where a whiteout of the same layer stands."""
        if not self._whiteouts.replace(path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        os.unlink(path)
        os.mkdir(path, 0o755)
        self._whiteouts.renew(path)

    def _directory(self, entry: Header, path: bytes) -> None:
        is_new = bool(path) and self._have_directory(path)
        if not path:
            self.describes_root = True
        self._inherits_group = self._inherits_group or bool(entry.mode & stat.S_ISGID)
        path = path or b"."
        self._own(entry, path, is_new=is_new)
        if entry.xattrs:
            self._exact.discard(path)
        self._remember(path, entry.mtime)

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
            not entry.mode & 0o7000 and not entry.xattrs and self._is_exact(path.rpartition(b"/")[0] or b".")
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

    def _is_exact(self, directory: bytes) -> bool:
        """Whether a file made here has the mode that it is made with; else the default ACL has a say."""
        if directory in self._exact:
            return True
        try:
            os.getxattr(directory, b"system.posix_acl_default")
        except OSError:  # there is none, or no ACLs at all
            self._exact.add(directory)
            self._known += len(directory) + 100
            return True
        return False

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
        real = self._parents.get(parent, parent)
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
        self._settle()
        parent = path.rpartition(b"/")[0] or b"."
        self._remember(parent, os.stat(parent).st_mtime_ns)
        delete(path)
