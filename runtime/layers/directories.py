"""The directories that a layer's entries go to: which one a name means, and what time each is to have in the end.

A name may lead through links, and parents may be missing: those are made 0755. What is known of directories is bounded,
and found out again where it was forgotten.
"""

import errno
import os
import stat
from contextlib import suppress

from runtime.layers.whiteouts import Whiteouts

_MAX_KNOWN = 4 << 20  # bytes of what is remembered of directories


class Directories:
    """Those below the current directory; paths are relative to it, b"" is itself and b"." where it is opened."""

    def __init__(self, whiteouts: Whiteouts) -> None:
        """`whiteouts` is told which are made."""
        self._whiteouts = whiteouts
        # A parent as the archive names it → the directory that is, through no link.
        self._parents: dict[bytes, bytes] = {b"": b""}
        # The times of directories, which each entry made in them changes.
        self._times: dict[bytes, int] = {}
        self._known = 0
        # Directories in which a file gets the very mode that it is made with: none of their ACLs is inherited.
        self._exact: set[bytes] = set()
        self._here = os.getcwdb().rstrip(b"/") + b"/"

    def of(self, name: bytes) -> bytes:
        """The directory that a parent of that name is, made if need be. For each entry anew: all may be forgotten."""
        if self._known > _MAX_KNOWN:
            self.settle()
        real = self._parents.get(name)
        return self._parent(name) if real is None else real

    def known(self, name: bytes) -> bytes:
        """The directory that a parent of that name was the last time, the name itself if it is not known."""
        return self._parents.get(name, name)

    def remember(self, path: bytes, mtime: int) -> None:
        """A directory is to have that time, in ns, whatever comes into it."""
        self._times[path] = mtime
        self._known += 3 * len(path) + 400  # as it is in both tables, under its two names

    def settle(self) -> None:
        """Give directories their times back and forget them: a layer may have any number of them."""
        for path, mtime in self._times.items():
            with suppress(OSError):  # a whiteout may have removed it
                os.utime(path + b"/.", ns=(mtime, mtime))
        self._parents = {b"": b""}
        self._times = {}
        self._exact = set()
        self._known = 0
        self.remember(b".", os.stat(b".").st_mtime_ns)

    def is_exact(self, path: bytes) -> bool:
        """Whether a file made there has the mode that it is made with; else the default ACL has a say."""
        if path in self._exact:
            return True
        try:
            os.getxattr(path, b"system.posix_acl_default")
        except OSError:  # there is none, or no ACLs at all
            self._exact.add(path)
            self._known += len(path) + 100
            return True
        return False

    def given_attributes(self, path: bytes) -> None:
        """An entry has given it extended attributes: an ACL may be among them."""
        self._exact.discard(path)

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
        self.remember(here, self._times.get(here, found.st_mtime_ns))
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
