"""An image archive on its way in: its members become blobs as they come, or stay in memory if they are small.

Members are entries of a table, never files at paths that the archive chose; links are resolved in that table.
"""

import secrets
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import aclosing

import msgspec

import errdefs
from engine.images import documents, layouts
from engine.images.holds import BlobSession
from engine.images.tarstream import Member, TarStream
from runtime.content.store import ContentStore, Descriptor, Ingest
from runtime.layers.inflate import inflate

_SMALL = 64 << 10
_MEMORY = 8 << 20  # of small members together
_TABLE = 12 << 20  # of names, and what Python takes for each: about 28,000 members, which are 200 images
_ENTRY = 350  # bytes beside a name
_MAX_LINKS = 8


class _Link(msgspec.Struct, frozen=True):
    target: str


class Spool:
    """The members of one archive. What it writes belongs to the session."""

    def __init__(self, content: ContentStore, session: BlobSession) -> None:
        self._content = content
        self._session = session
        self._entries: dict[str, bytes | Descriptor | _Link] = {}
        self._ref = secrets.token_hex(8)
        self._in_memory = 0
        self._in_table = 0

    async def fill(self, archive: AsyncIterator[bytes]) -> None:
        """Read the archive to its end. InvalidArgument for one that is broken or hostile."""
        tar = TarStream()
        member: _Open | None = None
        try:
            async with aclosing(inflate(archive)) as pieces:
                async for piece in pieces:
                    for event in tar.feed(piece):
                        if isinstance(event, Member):
                            await self._close(member)
                            member = await self._begin(event)
                        elif member is not None:
                            await member.write(event)
            tar.finish()
            await self._close(member)
        except BaseException:
            if member is not None and member.ingest is not None:
                await member.ingest.abort()
            raise

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    def has(self, path: str) -> bool:
        """Whether there is a member at a path as a document writes it. InvalidArgument for one that leads out."""
        return layouts.member_path(path) in self._entries

    @property
    def paths(self) -> Collection[str]:
        """The members that are files or links."""
        return self._entries.keys()

    async def document(self, path: str, what: str) -> bytes:
        """The bytes of a small member. InvalidArgument naming `what` if it is missing or too large."""
        entry = self._entry(path, what)
        if isinstance(entry, bytes):
            return entry
        if entry.size > documents.MAX_BYTES:
            raise errdefs.InvalidArgument(f"invalid {what}: larger than {documents.MAX_BYTES} bytes")
        return await self._content.read(entry.digest)

    async def blob(self, path: str, what: str) -> Descriptor:
        """A member as a blob. InvalidArgument naming `what` if it is missing."""
        entry = self._entry(path, what)
        if isinstance(entry, bytes):
            return Descriptor(digest=await self._session.put(self._content, entry), size=len(entry))
        return entry

    def _entry(self, path: str, what: str) -> bytes | Descriptor:
        wanted = layouts.member_path(path)
        for _ in range(_MAX_LINKS):
            entry = self._entries.get(wanted)
            if entry is None:
                raise errdefs.InvalidArgument(f'invalid archive: {what} "{path[:200]}" is missing')
            if not isinstance(entry, _Link):
                return entry
            wanted = entry.target
        raise errdefs.InvalidArgument(f'invalid archive: {what} "{path[:200]}" is a chain of links')

    async def _begin(self, member: Member) -> "_Open | None":
        path = layouts.member_path(member.name)
        if member.symlink:
            self._link(path, layouts.link_path(path, member.target))
        elif member.hard_link:
            self._link(path, layouts.member_path(member.target))
        elif member.regular:
            self._count(path)
            if member.size <= _SMALL and self._in_memory + member.size <= _MEMORY:
                self._in_memory += member.size
                return _Open(path, None)
            return _Open(path, await self._content.ingest(f"load-{self._ref}-{len(self._entries)}"))
        return None

    def _link(self, path: str, target: str) -> None:
        self._count(path)
        self._in_table += sys.getsizeof(target)
        self._entries[path] = _Link(target)

    def _count(self, path: str) -> None:
        self._in_table += sys.getsizeof(path) + _ENTRY
        if self._in_table > _TABLE:
            raise errdefs.InvalidArgument("invalid archive: too many members")

    async def _close(self, member: "_Open | None") -> None:
        if member is None:
            return
        if member.ingest is None:
            self._entries[member.path] = bytes(member.data)
        else:
            self._entries[member.path] = await self._session.finish(member.ingest)


class _Open:
    """The member whose data is flowing by."""

    def __init__(self, path: str, ingest: Ingest | None) -> None:
        self.path = path
        self.ingest = ingest
        self.data = bytearray()

    async def write(self, data: memoryview) -> None:
        if self.ingest is None:
            self.data += data
        else:
            await self.ingest.write(bytes(data))
