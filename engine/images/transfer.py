"""Blobs out of registries: by digest, shared among those who want them, gone on with where they broke off."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import errdefs
from engine import faults
from engine.images.holds import BlobHolds, BlobSession
from engine.images.reference import short_id
from engine.images.registration import Blob
from engine.images.sharing import Report, Sharing
from engine.progress import Message
from engine.registry.errors import Transient
from engine.registry.repository import Repository
from runtime.content.store import ContentStore, ResumableIngest

STEPS = ("begun", "part", "blob")  # where the crash tests kill a pull
_PART = 1 << 20  # bytes of which some surely are in the file
_log = logging.getLogger(__name__)
_EVERY = 0.1  # seconds between two messages of a blob
_ENOUGH = 64 << 10  # bytes for which an attempt was worth its while: the next comes at once, and counts anew
_PATIENCE = 5  # seconds more before each further attempt


class Downloads:
    """Downloads of a daemon. What is there already is not fetched; what broke off is kept, and gone on with."""

    def __init__(self, content: ContentStore, blobs: BlobHolds, *, at_once: int, attempts: int) -> None:
        self._content = content
        self._blobs = blobs
        self._sharing: Sharing[None] = Sharing()
        self.configure(at_once=at_once, attempts=attempts)

    def configure(self, *, at_once: int, attempts: int) -> None:
        """Fetch so many blobs at once (0: all), each in so many attempts, from now on."""
        self._slots = asyncio.Semaphore(at_once) if at_once else None
        self._attempts = attempts

    def fetch(self, repository: Repository, blob: Blob, report: Report) -> AbstractAsyncContextManager[None]:
        """Have a blob of the repository; it is held within the block, and retained until it is released.

        Transient if it came not whole in all attempts: what came is kept. SystemFailure if it is another blob.
        """
        return self._sharing.join(blob.digest, lambda tell: self._held(repository, blob, tell), report)

    @asynccontextmanager
    async def _held(self, repository: Repository, blob: Blob, tell: Report) -> AsyncIterator[None]:
        async with self._blobs.session() as session:
            if not await session.take(blob.digest):
                async with self._slot(blob, tell):
                    await self._download(_Download(repository, blob, session, tell))
            tell(Message.step(short_id(blob.digest), "Download complete"))
            faults.hit("pull.blob")
            yield

    @asynccontextmanager
    async def _slot(self, blob: Blob, tell: Report) -> AsyncIterator[None]:
        if self._slots is None:
            yield
            return
        if self._slots.locked():
            tell(Message.step(short_id(blob.digest), "Waiting"))
        async with self._slots:
            yield

    async def _download(self, download: "_Download") -> None:
        self._blobs.retain(download.blob.digest)
        failures = 0
        while True:
            begun_at = 0
            ingest: ResumableIngest | None = None
            try:
                async with await self._content.resume(download.blob.digest, download.blob.size) as ingest:
                    begun_at = ingest.offset
                    faults.hit("pull.begun")
                    await download.attempt(ingest)
                    return
            except Transient as failure:
                if ingest is not None and ingest.offset - begun_at >= _ENOUGH:
                    failures = 0
                    continue
                failures += 1
                _log.info(
                    "download of %s failed (%d/%d): %s",
                    download.blob.digest,
                    failures,
                    self._attempts,
                    failure.message,
                )
                if failures >= self._attempts:
                    raise
                await download.pause(
                    failures * _PATIENCE if failure.retry_after is None else failure.retry_after
                )


class _Download:
    """One blob on its way."""

    def __init__(self, repository: Repository, blob: Blob, session: BlobSession, tell: Report) -> None:
        self.blob = blob
        self._repository = repository
        self._session = session
        self._tell = tell
        self._id = short_id(blob.digest)
        self._told = 0.0

    async def attempt(self, ingest: ResumableIngest) -> None:
        """Fetch what is missing, and make the blob."""
        resumed = ingest.offset > 0
        if ingest.offset < self.blob.size:
            await self._fetch(ingest)
        self._tell(Message.step(self._id, "Verifying Checksum"))
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
                self._count(ingest.offset)
                if ingest.offset > _PART:
                    faults.hit("pull.part")

    def _count(self, current: int) -> None:
        now = time.monotonic()
        if now - self._told >= _EVERY or current == self.blob.size:
            self._told = now
            self._tell(Message.counted(self._id, "Downloading", current, self.blob.size))

    async def pause(self, seconds: float) -> None:
        """Wait before the next attempt, and tell how long."""
        left = max(1, round(seconds))
        while left:
            self._tell(Message.step(self._id, f"Retrying in {left} second{'' if left == 1 else 's'}"))
            await asyncio.sleep(1)
            left -= 1
