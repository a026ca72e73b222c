"""What an archive says of an object of a directory: an entry by its facts, with the ids that a container sees."""

import os
import stat
from collections.abc import Sequence

from runtime.layers import header as tar
from runtime.layers.archive import Entry, encode, encode_file
from runtime.spec.identity import Identity

_REVISION_2, _REVISION_3 = b"\2", b"\3"  # in the uppermost byte of a little-endian word
_TYPES = {
    stat.S_IFREG: tar.REGULAR,
    stat.S_IFDIR: tar.DIRECTORY,
    stat.S_IFLNK: tar.SYMLINK,
    stat.S_IFCHR: tar.CHARACTER,
    stat.S_IFBLK: tar.BLOCK_DEVICE,
    stat.S_IFIFO: tar.FIFO,
}


class Describing:
    """Makes entries for the root of a container with an identity."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def entry(
        self,
        found: os.stat_result,
        name: bytes,
        *,
        link: bytes = b"",
        size: int = 0,
        kind: bytes | None = None,
        xattrs: Sequence[tuple[bytes, bytes]] = (),
    ) -> bytes:
        """The entry of any object, of a `kind` if that is not the object's own."""
        device = (os.major(found.st_rdev), os.minor(found.st_rdev))
        entry = Entry(
            name=name,
            type=kind or _TYPES[stat.S_IFMT(found.st_mode)],
            mode=stat.S_IMODE(found.st_mode),
            uid=self._identity.uid_inside(found.st_uid),
            gid=self._identity.gid_inside(found.st_gid),
            size=size,
            mtime=int(found.st_mtime_ns // 10**9),
            link=link,
            device=device if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode) else (0, 0),
            xattrs=xattrs,
        )
        return encode(entry)

    def plain(self, found: os.stat_result, name: bytes) -> bytes:
        """The entry of a regular file without xattrs, of which there are the most."""
        uid, gid = found.st_uid, found.st_gid
        if self._identity.remapped:
            uid, gid = self._identity.uid_inside(uid), self._identity.gid_inside(gid)
        seconds = found.st_mtime_ns // 10**9
        return encode_file(name, found.st_mode & 0o7777, uid, gid, found.st_size, seconds)

    def inside(self, capability: bytes) -> bytes:
        """Capabilities that count for the root of a user namespace, as they count for root."""
        if not self._identity.remapped or capability[3:4] != _REVISION_3:
            return capability
        return capability[:3] + _REVISION_2 + capability[4:-4]
