"""Blobs out of registries: by digest, shared among those who want them, gone on with where they broke off."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import errdefs
from engine import faults
from engine.images.attempts import Attempts, Slots
from engine.images.holds import BlobHolds, BlobSession
from engine.images.reference import short_id
from engine.images.registration import Blob
from engine.images.sharing import Report, Sharing
from engine.progress import Message
from engine.registry.errors import Transient
from engine.registry.origin import Origin
from runtime.content.store import ContentStore, ResumableIngest

STEPS = ("begun", "part", "blob")  # where the crash tests kill a pull
_PART = 1 << 20  # bytes of which some surely are in the file


class Downloads:
    """Downloads of a daemon. What is there already is not fetched; what broke off is kept, and gone on with."""

    def __init__(self, content: ContentStore, blobs: BlobHolds, *, at_once: int, attempts: int) -> None:
        self._content = content
        self._blobs = blobs
        self._sharing: Sharing[None] = Sharing()
        self.configure(at_once=at_once, attempts=attempts)

    def configure(self, *, at_once: int, attempts: int) -> None:
        """Fetch so many blobs at once (0: all), each in so many attempts, from now on."""
        self._slots = Slots(at_once)
        self._attempts = attempts

    def fetch(self, repository: Origin, blob: Blob, report: Report) -> AbstractAsyncContextManager[None]:
        """Have a blob of the repository; it is held within the block, and retained until it is released.

        Transient if it came not whole in all attempts: what came is kept. SystemFailure if it is another blob.
        """
        return self._sharing.join(blob.digest, lambda tell: self._held(repository, blob, tell), report)

    @asynccontextmanager
    async def _held(self, repository: Origin, blob: Blob, tell: Report) -> AsyncIterator[None]:
        async with self._blobs.session() as session:
            if not await session.take(blob.digest):
                shown, what = short_id(blob.digest), f"download of {blob.digest}"
                async with self._slots.one(shown, tell):
                    attempts = Attempts(what, shown, blob.size, self._attempts, tell)
                    await self._download(_Download(repository, blob, session, attempts), attempts)
            tell(Message.step(short_id(blob.digest), "Download complete"))
            faults.hit("pull.blob")
            yield

    async def _download(self, download: "_Download", attempts: Attempts) -> None:
        blob = download.blob
        self._blobs.retain(blob.digest)
        while True:
            begun_at = 0
            ingest: ResumableIngest | None = None
            try:
                async with await self._content.resume(blob.digest, blob.size) as ingest:
                    begun_at = ingest.offset
                    faults.hit("pull.begun")
                    await download.attempt(ingest)
                    return
            except Transient as failure:
                await attempts.another(failure, ingest.offset - begun_at if ingest is not None else 0)


class _Download:
    """One blob on its way."""

    def __init__(self, repository: Origin, blob: Blob, session: BlobSession, attempts: Attempts) -> None:
        self.blob = blob
        self._repository = repository
        self._session = session
        self._attempts = attempts

    async def attempt(self, ingest: ResumableIngest) -> None:
        """Fetch what is missing, and make the blob."""
        resumed = ingest.offset > 0
        if ingest.offset < self.blob.size:
            await self._fetch(ingest)
        self._attempts.step("Verifying Checksum")
        try:
            await self._session.finish(ingest)
        except errdefs.InvalidArgument:
            text = f"filesystem layer verification failed for digest {self.blob.digest}"
            raise Transient(text) if resumed else errdefs.SystemFailure(text) from None

    async def _fetch(self, ingest: ResumableIngest) -> None:
        digest, size = self.blob.digest, self.blob.size
        async with self._repository.blob(digest, offset=ingest.offset, size=size) as chunks:
            if chunks.offset != ingest.offset:
                await ingest.restart()
            async for chunk in chunks:
                await ingest.write(chunk)
                self._attempts.count("Downloading", ingest.offset)
                if ingest.offset > _PART:
                    faults.hit("pull.part")
