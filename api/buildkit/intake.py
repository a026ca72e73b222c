"""Taking in a tree that a client sends by fsutil's protocol: what each packet does to the disk, and what is answered.

The client walks its directory in order, a STAT for each entry and an empty one at the end; for the regular files that
we ask for (REQ) it sends DATA, an empty one at the end of each. A client that sends paths which lead out of the
directory, come twice or stand in no directory is refused; no path is ever followed through a link.

The directory may have what an earlier transfer left, ended or broken off. A file gets its time last, when all of it is
there: so one that has the time and size that the client tells is whole, and is not asked for again. Changed files are
made anew, and what was not named is removed, when the walk leaves the directory that it is in.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

import errdefs
from api.buildkit import filemode, former, metadata
from api.buildkit.incoming import Incoming
from api.buildkit.protos.session_pb2 import Packet, Stat
from runtime.paths import open_beneath

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class _Directory(msgspec.Struct):
    """A directory in which the client's walk is: entries come in order, and each once.

    `former` are names that are there of an earlier time, and have not come yet.
    """

    fd: int
    path: str
    stat: Stat | None
    last: bytes = b""
    former: set[str] = msgspec.field(default_factory=set)


class Intake:
    """Makes a directory what the client has. All of it blocks; one thread at a time.

    `changed`: the directory is not what it was before, but for times of directories.
    """

    def __init__(self, into: Path) -> None:
        """`into` is empty, or what an earlier one left; nobody else works there."""
        self._walk = [_entered(os.open(into, _DIRECTORY), "", None)]
        self._shared: set[int] = set()  # inodes of former files with several names, of which one has come
        self._next_id = 0
        self._incoming = Incoming()
        self._listed = False
        self.changed = False

    @property
    def complete(self) -> bool:
        """Whether all that was asked for is here."""
        return self._listed and self._incoming.complete

    @property
    def received(self) -> int:
        """How many bytes of content."""
        return self._incoming.received

    def take(self, packets: Sequence[Packet]) -> list[Packet]:
        """Do what they say, and return what is to be sent. InvalidArgument for what no honest client sends."""
        path = b""
        try:
            for packet in packets:
                path = packet.stat.path
                self._take(packet)
            path = b""  # of content it is not known
            self._incoming.flush()
        except OSError as error:
            what = _shown(path) or "a file"
            raise errdefs.SystemFailure(f"cannot write {what} of the client: {error.strerror}") from error
        except (OverflowError, ValueError):  # beyond the kernel's numbers, or a NUL
            raise errdefs.InvalidArgument(f"{_shown(path)}: metadata that no file can have") from None
        return self._incoming.requests(self._reopened)

    def close(self) -> None:
        """Let go of what is open. What has come stays."""
        self._incoming.close()
        while self._walk:
            os.close(self._walk.pop().fd)

    def _take(self, packet: Packet) -> None:
        match packet.type:
            case Packet.PACKET_STAT if packet.HasField("stat"):
                self._entry(packet.stat)
            case Packet.PACKET_STAT:
                self._listed = True
                while len(self._walk) > 1:
                    self._leave()
                self._clear(self._walk[0])
            case Packet.PACKET_DATA:
                self._incoming.take(packet.ID, packet.data)
            case Packet.PACKET_ERR:
                raise errdefs.InvalidArgument(f"error from sender: {packet.data.decode(errors='replace')}")

    def _entry(self, entry: Stat) -> None:
        if self._listed:
            raise errdefs.InvalidArgument(f"{_shown(entry.path)}: an entry behind the last one")
        number, self._next_id = self._next_id, self._next_id + 1
        path = os.fsdecode(entry.path)
        parent, name = self._place(path)
        kind = entry.mode & filemode.TYPES
        if kind & filemode.SOCKET or (name in parent.former and self._stays(entry, name, parent, path)):
            return
        self.changed = True
        if kind == filemode.DIRECTORY:
            os.mkdir(name, 0o700, dir_fd=parent.fd)
            self._walk.append(_Directory(os.open(name, _DIRECTORY, dir_fd=parent.fd), path, entry))
        elif kind == filemode.SYMLINK:
            os.symlink(entry.linkname, name, dir_fd=parent.fd)
            os.chown(name, entry.uid, entry.gid, dir_fd=parent.fd, follow_symlinks=False)
            os.utime(name, ns=(entry.modTime,) * 2, dir_fd=parent.fd, follow_symlinks=False)
        elif kind:
            metadata.make_node(entry, name, parent.fd)
        elif not kind:
            self._regular(number, entry, name, parent.fd)

    def _stays(self, entry: Stat, name: str, parent: _Directory, path: str) -> bool:
        """Whether what is there of an earlier time is this entry; it is gone if not."""
        parent.former.discard(name)
        found = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode) and entry.mode & filemode.DIRECTORY:
            self._walk.append(_entered(os.open(name, _DIRECTORY, dir_fd=parent.fd), path, entry))
            return True
        if self._is_former(entry, name, parent, found):
            return True
        former.remove(name, parent.fd)
        return False

    def _is_former(self, entry: Stat, name: str, parent: _Directory, found: os.stat_result) -> bool:
        if not entry.mode & filemode.TYPES and entry.linkname:
            target = self._beneath(os.fsdecode(entry.linkname), os.O_PATH | os.O_NOFOLLOW)
            try:
                return os.path.samestat(os.fstat(target), found)
            finally:
                os.close(target)
        if not former.same(entry, name, parent.fd, found) or found.st_ino in self._shared:
            return False
        if found.st_nlink > 1:
            self._shared.add(found.st_ino)
        return True

    def _clear(self, directory: _Directory) -> None:
        """All of a directory has been named: what was not is there no more."""
        for name in directory.former:
            former.remove(name, directory.fd)
            self.changed = True
        directory.former.clear()

    def _regular(self, number: int, entry: Stat, name: str, parent: int) -> None:
        if entry.linkname:
            self._link(entry, name, parent)
            return
        fd = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
        if entry.size:
            os.close(fd)
            self._incoming.expect(number, entry)
        else:
            metadata.finish(fd, entry)
            os.close(fd)

    def _link(self, entry: Stat, name: str, parent: int) -> None:
        """A further name of a file that has come before."""
        target = self._beneath(os.fsdecode(entry.linkname), os.O_PATH | os.O_NOFOLLOW)
        try:
            if not stat.S_ISREG(os.fstat(target).st_mode):
                raise errdefs.InvalidArgument(f"{os.fsdecode(entry.path)!r}: a hard link to what is no file")
            os.link(f"/proc/self/fd/{target}", name, dst_dir_fd=parent, follow_symlinks=True)
        finally:
            os.close(target)

    def _place(self, path: str) -> tuple[_Directory, str]:
        """The directory that an entry is in, and its name there."""
        names = path.split("/")
        if any(name in ("", ".", "..") for name in names) or "\0" in path:
            raise errdefs.InvalidArgument(f"{path!r}: no path within the directory")
        above, _, name = path.rpartition("/")
        while len(self._walk) > 1 and self._walk[-1].path != above:
            self._leave()
        parent = self._walk[-1]
        if parent.path != above or os.fsencode(name) <= parent.last:
            raise errdefs.InvalidArgument(f"changes out of order: {path!r}")
        parent.last = os.fsencode(name)
        return parent, name

    def _leave(self) -> None:
        """All of a directory has been named: it can have its mode and times."""
        directory = self._walk.pop()
        try:
            self._clear(directory)
            if directory.stat is not None:
                self._finish_directory(directory.fd, directory.stat)
        finally:
            os.close(directory.fd)

    def _finish_directory(self, fd: int, entry: Stat) -> None:
        found, had, wanted = os.fstat(fd), metadata.xattrs(".", fd), metadata.wanted_xattrs(entry)
        if metadata.same_owner(entry, found) and had == wanted and found.st_mtime_ns == entry.modTime:
            return
        self.changed = self.changed or not metadata.same_owner(entry, found) or had != wanted
        for key in had.keys() - wanted.keys():
            os.removexattr(fd, key)
        metadata.finish(fd, entry)

    def _reopened(self, path: str) -> int:
        return self._beneath(path, os.O_WRONLY | os.O_NOFOLLOW)

    def _beneath(self, path: str, flags: int) -> int:
        """What is there already, reached without a link."""
        try:
            return open_beneath(self._walk[0].fd, path, flags)
        except OSError as error:
            raise errdefs.InvalidArgument(f"{path!r}: {error.strerror}") from error


def _entered(fd: int, path: str, entry: Stat | None) -> _Directory:
    """A directory that may have been there before."""
    return _Directory(fd, path, entry, former=set(os.listdir(fd)))


def _shown(name: bytes) -> str:
    """A file's name in a text."""
    return name.decode(errors="replace")
