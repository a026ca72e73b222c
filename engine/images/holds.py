"""Content that work under way needs, so that a removal beside it does not take it away."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import errdefs
from runtime.content.store import ContentStore, Descriptor, Ingest


class BlobHolds:
    """Blobs are deleted when no work holds them and `referenced` no longer names them.

    A blob may be deleted and written again at the same time by two who do not know of each other: writes
    end, and deletions happen, in turns.
    """

    def __init__(self, content: ContentStore, referenced: Callable[[], set[str]]) -> None:
        self._content = content
        self._referenced = referenced
        self._held: Counter[str] = Counter()
        self._retained: set[str] = set()
        self._turn = asyncio.Lock()
        self._writes: set[asyncio.Task[str]] = set()

    @asynccontextmanager
    async def session(self) -> AsyncIterator["BlobSession"]:
        """A piece of work: what it adds is held until it ends, then kept only if something refers to it."""
        session = BlobSession(self)
        try:
            yield session
        finally:
            self._held.subtract(session.digests)
            self._held += Counter()
            await self.drop(session.digests)

    async def drop(self, digests: Iterable[str]) -> int:
        """Delete those blobs that nothing needs any more; the bytes that they had."""
        freed = 0
        for digest in sorted(self._loose(digests)):
            async with self._turn:
                if digest in self._held or digest in self._retained or digest in self._referenced():
                    continue
                with suppress(errdefs.NotFound):
                    freed += await self._content.delete(digest)
        return freed

    def _loose(self, digests: Iterable[str]) -> set[str]:
        """Those that nothing needs at this moment; mostly there are none, and nobody waits for a turn."""
        loose = set(digests).difference(self._held, self._retained)
        return loose - self._referenced() if loose else loose

    async def take(self, digest: str, held: list[str]) -> bool:
        """Hold a blob if it is there, whoever made it. What others hold is there."""
        async with self._turn:
            if digest not in self._held and not await self._content.exists(digest):
                return False
            self.keep(digest, held)
            return True

    async def take_all(self, digests: Collection[str], held: list[str]) -> bool:
        """Hold those blobs that are there, whoever made them; whether that is all."""
        async with self._turn:
            missing = await self._content.missing(each for each in digests if each not in self._held)
            for digest in digests:
                if digest not in missing:
                    self.keep(digest, held)
            return not missing

    def retain(self, digest: str) -> None:
        """A blob that a resumable ingest makes is not to be deleted before `release`."""
        self._retained.add(digest)

    async def release(self, digests: Iterable[str]) -> int:
        """Retain these no longer: what is written of them is dropped, blobs stay as far as something needs them.

        The bytes that were given back.
        """
        wanted, freed = set(digests), 0
        for digest in wanted:
            self._retained.discard(digest)
            freed += await self._content.release(digest)
        return freed + await self.drop(wanted)

    async def expire(self, age: float) -> int:
        """Release what was retained for so many seconds and is not in use, and what belongs to images.

        The bytes that were given back.
        """
        retained = await self._content.retained()
        referenced = self._referenced()
        old = {
            digest
            for digest, kept in retained.items()
            if digest in referenced or (kept.age >= age and digest not in self._held)
        }
        self._retained |= retained.keys() - old
        return await self.release(old)

    async def drop_orphans(self) -> int:
        """Delete all blobs that nothing needs, however they came here; the bytes that they had."""
        return await self.drop((await self._content.walk()).keys() - self._referenced())

    def keep(self, digest: str, held: list[str]) -> None:
        """Hold a blob that an image refers to, or other work holds, at this moment."""
        self._held[digest] += 1
        held.append(digest)

    async def hold(self, write: Coroutine[Any, Any, str], held: list[str]) -> str:
        """Let a write come to its end, even if we are cancelled, and hold the blob that it made."""
        task = asyncio.get_running_loop().create_task(self._in_turn(write, held))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise

    async def _in_turn(self, write: Coroutine[Any, Any, str], held: list[str]) -> str:
        async with self._turn:
            digest = await write
            self.keep(digest, held)
            return digest


class BlobSession:
    """The blobs that a piece of work added so far."""

    def __init__(self, holds: BlobHolds) -> None:
        self._holds = holds
        self.digests: list[str] = []

    async def take(self, digest: str) -> bool:
        """Hold a blob if it is there."""
        return await self._holds.take(digest, self.digests)

    async def take_all(self, digests: Collection[str]) -> bool:
        """Hold those blobs that are there; whether that is all."""
        return await self._holds.take_all(digests, self.digests)

    async def finish(self, ingest: Ingest, *, durable: bool = True) -> Descriptor:
        """Make a held blob of what was written; see `Ingest.commit`."""
        made: list[Descriptor] = []

        async def commit() -> str:
            made.append(await ingest.commit(durable=durable))
            return made[0].digest

        await self._holds.hold(commit(), self.digests)
        return made[0]

    def keep(self, digest: str) -> None:
        """Hold a blob that an image refers to, or other work holds, at this moment, whatever happens to that."""
        self._holds.keep(digest, self.digests)

    async def put(self, content: ContentStore, data: bytes, *, durable: bool = True) -> str:
        """Make a held blob of a few bytes; its digest. See `Ingest.commit`."""
        return await self._holds.hold(content.put(data, durable=durable), self.digests)
