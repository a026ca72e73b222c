"""Sending a directory to a client by fsutil's protocol: the reverse of `intake`. It blocks."""

import os
import stat
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

import errdefs
from api.buildkit import filemode
from api.buildkit.protos.session_pb2 import Packet, Stat
from runtime.paths import open_in_root

_BATCH: Final = 128  # entries, or bytes of content, that are read at once
_CONTENT: Final = 32 * 1024
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Outflow:
    """A directory's entries in the order that the protocol wants, and the contents of its files."""

    def __init__(self, directory: Path) -> None:
        self._root = os.open(directory, _DIRECTORY)
        self._files: dict[int, bytes] = {}
        self._next_id = 0
        self._links: dict[tuple[int, int], bytes] = {}
        self._entries = self._walk()

    def close(self) -> None:
        """Let go of the directory."""
        self._entries.close()
        os.close(self._root)

    def entries(self) -> list[Packet]:
        """The next STATs; those of the last batch end with the empty one, and then there are none."""
        packets: list[Packet] = []
        for packet in self._entries:
            packets.append(packet)
            if len(packets) == _BATCH:
                break
        return packets

    def content(self, number: int) -> Iterator[Packet]:
        """The DATA of a file that the client asks for, its end included. InvalidArgument for what is none."""
        path = self._files.pop(number, None)
        if path is None:
            raise errdefs.InvalidArgument(f"invalid file id {number}")
        fd = open_in_root(self._root, os.fsdecode(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            while data := os.read(fd, _CONTENT):
                yield Packet(type=Packet.PACKET_DATA, ID=number, data=data)
        finally:
            os.close(fd)
        yield Packet(type=Packet.PACKET_DATA, ID=number)

    def _walk(self) -> Generator[Packet]:
        levels = [self._listing("")]
        while levels:
            if not levels[-1]:
                levels.pop()
                continue
            entry, found = levels[-1].popleft()
            yield self._packet(entry, found)
            if stat.S_ISDIR(found.st_mode):
                levels.append(self._listing(os.fsdecode(entry.path)))
        yield Packet(type=Packet.PACKET_STAT)

    def _listing(self, above: str) -> deque[tuple[Stat, os.stat_result]]:
        """What is in a directory, in order; no descriptor stays open, however deep it is."""
        fd = open_in_root(self._root, above or ".", _DIRECTORY)
        try:
            names = sorted(os.listdir(fd), key=os.fsencode)
            found = [(name, os.stat(name, dir_fd=fd, follow_symlinks=False)) for name in names]
            return deque(
                (_entry(f"{above}/{name}" if above else name, status, fd, name), status)
                for name, status in found
                if not stat.S_ISSOCK(status.st_mode)
            )
        finally:
            os.close(fd)

    def _packet(self, entry: Stat, found: os.stat_result) -> Packet:
        number, self._next_id = self._next_id, self._next_id + 1
        if stat.S_ISREG(found.st_mode):
            self._regular(number, entry, found)
        return Packet(type=Packet.PACKET_STAT, stat=entry)

    def _regular(self, number: int, entry: Stat, found: os.stat_result) -> None:
        entry.size = found.st_size
        inode = found.st_dev, found.st_ino
        if found.st_nlink > 1 and inode in self._links:
            entry.linkname = self._links[inode]
            return
        self._files[number] = entry.path
        if found.st_nlink > 1:
            self._links[inode] = entry.path


def _entry(path: str, found: os.stat_result, fd: int, name: str) -> Stat:
    entry = Stat(
        path=os.fsencode(path),
        mode=filemode.from_kernel(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
        modTime=found.st_mtime_ns,
    )
    if stat.S_ISLNK(found.st_mode):
        entry.linkname = os.fsencode(os.readlink(name, dir_fd=fd))
    if stat.S_ISBLK(found.st_mode) or stat.S_ISCHR(found.st_mode):
        entry.devmajor, entry.devminor = os.major(found.st_rdev), os.minor(found.st_rdev)
    return entry
