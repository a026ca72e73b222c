"""Directories as tar streams.

What is packed may be the root of a running container: every object is reached by directory descriptors and through no
link.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from runtime.layers import header as tar
from runtime.layers.archive import END, Entry, encode, padding
from runtime.layers.describing import Describing
from runtime.layers.lower import OPAQUE, OVERLAYS
from runtime.spec.identity import HOST, Identity
from runtime.tree import Cursor

if TYPE_CHECKING:
    from pathlib import Path

_SMALL = 1 << 16  # files up to this size are gathered with their headers
_GATHERED, _PIECES = 1 << 18, 1024  # bytes and pieces (IOV_MAX) that are written at once
_CAPABILITY = "security.capability"
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MARK = ".wh."
_UNTOLD = (OVERLAYS, "security.selinux")  # overlayfs' own, and what each file system gives anew


class Packer:
    """Writes trees as an archive on a descriptor. Conflict when a directory is moved while it is read."""

    def __init__(
        self,
        out: int,
        *,
        whiteouts: bool = False,
        leave_out: Sequence[str] = (),
        below: bytes | None = None,
        identity: Identity = HOST,
        descriptors: int | None = None,
    ) -> None:
        """Write to `out`; with `whiteouts`, the marks of overlayfs become those of a layer. All names are put `below`
        this one. Of the root of a container with an `identity` the archive has the container's own ids.
        `descriptors`: /proc/self/fd by a descriptor, where devices in the tree can be opened.
        """
        self._out = out
        self._describing = Describing(identity)
        self._descriptors = descriptors
        self._leave_out = frozenset(os.fsencode(path.strip("/")) for path in leave_out)
        self._whiteouts = whiteouts
        self._pending: list[bytes] = []
        self._waiting = 0  # bytes in `_pending`
        self._path: list[bytes] = [] if below is None else [below]
        self._links: dict[tuple[int, int], bytes] = {}
        self.ambiguous = False
        """Whether whoever unpacks the layer gets other files: some have names that are deletions there, or xattrs that
        it is not told of, or are sockets.
        """

    def tree(self, root: "Path | str") -> None:
        """Write all that is below a directory, sorted; what vanishes meanwhile is left out."""
        cursor = Cursor(root)
        try:
            pending = [_names(cursor.fd)]
            while pending:
                name, regular = next(pending[-1], ("", False))
                if not name:
                    pending.pop()
                    if pending:
                        cursor.up()
                        self._path.pop()
                    continue
                self.ambiguous |= self._whiteouts and name.startswith(MARK)
                if regular:
                    self._file(cursor.fd, name)
                elif self.other(cursor.fd, name) and self._enter(cursor, name):
                    pending.append(_names(cursor.fd))
        finally:
            cursor.close()

    def _enter(self, cursor: Cursor, name: str) -> bool:
        try:
            cursor.down(name)
        except (FileNotFoundError, NotADirectoryError):
            return False
        self._path.append(os.fsencode(name))
        return True

    def other(self, here: int, name: str) -> bool:
        """Write whatever is at a name in the directory `here`; whether it is a directory, of whose content nothing is
        written.
        """
        try:
            found = os.stat(name, dir_fd=here, follow_symlinks=False)
        except FileNotFoundError:
            return False
        base = os.fsencode(name)
        path = b"/".join([*self._path, base])
        is_directory = stat.S_ISDIR(found.st_mode)
        if path in self._leave_out:
            return is_directory
        os.fchdir(here)  # xattrs are to be had by path only
        if self._whiteouts and not stat.S_ISREG(found.st_mode):
            self._notice(_xattrs(base))
        if is_directory:
            self.directory(found, path)
            if self._whiteouts and _xattr(base, OPAQUE) == b"y":
                self._emit(encode(Entry(name=path + b"/.wh..wh..opq")))
        elif self._whiteouts and stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
            self._emit(encode(Entry(name=b"/".join([*self._path, b".wh." + base]))))
        elif stat.S_ISREG(found.st_mode):
            self._file(here, name)
        elif stat.S_ISSOCK(found.st_mode):
            self.ambiguous |= self._whiteouts
        else:
            self._special(found, base, path)
        return is_directory

    def _notice(self, xattrs: Sequence[str], kept: str = "") -> None:
        """Look for those that the archive has not."""
        if xattrs and self._whiteouts:
            self.ambiguous |= any(name != kept and not name.startswith(_UNTOLD) for name in xattrs)

    def directory(self, found: os.stat_result, name: bytes) -> None:
        """Write a directory alone."""
        self._header(found, name)

    def _special(self, found: os.stat_result, base: bytes, name: bytes) -> None:
        if self._hard_link(found, name):
            return
        try:
            link = os.readlink(base) if stat.S_ISLNK(found.st_mode) else b""
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINVAL):  # it went, or is no link any more
                raise
            return
        self._header(found, name, link=link)

    def _file(self, here: int, base: str) -> None:
        name = b"/".join([*self._path, os.fsencode(base)])
        if name in self._leave_out:
            return
        try:
            fd = self._open(here, base)
        except OSError:
            return  # it went, or became a link
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or self._hard_link(found, name):
                return
            size = found.st_size
            xattrs = _xattrs(fd)  # asking what there is takes less than being told that one is not
            self._notice(xattrs, kept=_CAPABILITY)
            if _CAPABILITY in xattrs and (capability := self._describing.inside(_xattr(fd, _CAPABILITY))):
                header = self._describing.entry(
                    found, name, size=size, xattrs=[(_CAPABILITY.encode(), capability)]
                )
            else:
                header = self._describing.plain(found, name)
            if size > _SMALL:
                self._emit(header)
                self._content(fd, size)
            else:
                self._emit(header + _filled(fd, size))
        finally:
            os.close(fd)

    def _open(self, here: int, base: str) -> int:
        """A file, to be read. The container may put a fifo or a device in its place at any moment.

        Opening some devices acts (a watchdog's): where they open, what is opened is looked at before.
        """
        if self._descriptors is None:
            return os.open(base, _FILE, dir_fd=here)
        found = os.open(base, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
        try:
            if not stat.S_ISREG(os.fstat(found).st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            return os.open(str(found), os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._descriptors)
        finally:
            os.close(found)

    def _hard_link(self, found: os.stat_result, name: bytes) -> bool:
        if found.st_nlink == 1:
            return False
        first = self._links.setdefault((found.st_dev, found.st_ino), name)
        if first == name:
            return False
        self._emit(self._describing.entry(found, name, link=first, kind=tar.HARD_LINK))
        return True

    def _header(self, found: os.stat_result, name: bytes, *, link: bytes = b"") -> None:
        self._emit(self._describing.entry(found, name, link=link))

    def _content(self, fd: int, size: int) -> None:
        """Write exactly `size` bytes, zeros for those that a file lost meanwhile."""
        left = size
        self.flush()
        while left and (sent := self._send(fd, min(left, 1 << 20))):
            left -= sent
        while left:
            self._emit(bytes(min(left, _SMALL)))
            left -= min(left, _SMALL)
        self._emit(padding(size))

    def _send(self, fd: int, count: int) -> int:
        try:
            return os.sendfile(self._out, fd, None, count)
        except OSError as error:
            # To a pipe only since Linux 5.12, and not from every filesystem.
            if error.errno != errno.EINVAL:
                raise
        data = os.read(fd, count)
        self._emit(data)
        self.flush()
        return len(data)

    def _emit(self, data: bytes) -> None:
        self._pending.append(data)
        self._waiting += len(data)
        if self._waiting > _GATHERED or len(self._pending) == _PIECES:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        wanted, self._waiting = self._waiting, 0
        pieces, self._pending = self._pending, []
        written = os.writev(self._out, pieces) if pieces else 0
        if written < wanted:
            view = memoryview(b"".join(pieces))[written:]
            while view:
                view = view[os.write(self._out, view) :]

    def end(self) -> None:
        """Close the archive."""
        self._emit(END)
        self.flush()


def _xattrs(at: int | bytes) -> list[str]:
    try:
        return os.listxattr(at) if isinstance(at, int) else os.listxattr(at, follow_symlinks=False)
    except OSError:
        return []


def _xattr(at: int | bytes, name: str) -> bytes:
    try:
        return os.getxattr(at, name) if isinstance(at, int) else os.getxattr(at, name, follow_symlinks=False)
    except OSError:
        return b""


def _filled(fd: int, size: int) -> bytes:
    """The content of a small file in whole blocks, with zeros for what it lost meanwhile."""
    data = os.read(fd, size) if size else b""
    while len(data) < size and (more := os.read(fd, size - len(data))):
        data += more
    return data.ljust(size + -size % tar.BLOCK, b"\0")


def _names(directory: int) -> Iterator[tuple[str, bool]]:
    """What is in a directory, and whether it surely is a regular file."""
    with os.scandir(directory) as entries:
        return iter(sorted((entry.name, entry.is_file(follow_symlinks=False)) for entry in entries))
