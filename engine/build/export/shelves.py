"""Where build caches lie that are imported: registries, directories of the client, the images of this engine."""

from typing import Protocol

import errdefs
from engine.build.session import Session
from engine.images.holds import BlobSession
from engine.images.layouts import Descriptor
from engine.images.manifests import patiently
from engine.images.pull import Pulls
from engine.images.registration import Blob
from engine.images.workshop import Workshop
from engine.registry.repository import Repository

MAX_DOCUMENT = 4 << 20
"""Bytes of a manifest or a config."""


class Shelf(Protocol):
    """Where a cache lies."""

    async def document(self, digest: str, size: int) -> bytes:
        """A small blob, not verified."""

    async def bring(self, blob: Descriptor, held: BlobSession) -> None:
        """Have a layer's blob here, held."""


class RegistryShelf:
    """A repository."""

    def __init__(self, repository: Repository, pulls: Pulls) -> None:
        self._repository = repository
        self._pulls = pulls

    async def document(self, digest: str, size: int) -> bytes:
        """See Shelf."""
        return await patiently(lambda: self._read(digest, size))

    async def _read(self, digest: str, size: int) -> bytes:
        raw = bytearray()
        async with self._repository.blob(digest, size=size) as chunks:
            async for chunk in chunks:
                raw += chunk
        return bytes(raw)

    async def bring(self, blob: Descriptor, held: BlobSession) -> None:
        """See Shelf."""
        wanted = Blob(digest=blob.digest, size=blob.size)
        try:
            async with self._pulls.downloads.fetch(self._repository, wanted, lambda _: None):
                held.keep(blob.digest)
        finally:
            await self._pulls.blobs.release([blob.digest])


class LocalShelf:
    """A directory of the client."""

    def __init__(self, session: Session, source: str, workshop: Workshop) -> None:
        self._session = session
        self._store = f"local:{source}"
        self._workshop = workshop

    async def document(self, digest: str, size: int) -> bytes:
        """See Shelf."""
        del size  # the client may lie
        raw = bytearray()
        async for chunk in await self._session.read_content(self._store, digest):
            raw += chunk
            if len(raw) > MAX_DOCUMENT:
                raise errdefs.InvalidArgument(f"{digest} is larger than {MAX_DOCUMENT} bytes")
        return bytes(raw)

    async def bring(self, blob: Descriptor, held: BlobSession) -> None:
        """See Shelf."""
        if await held.take(blob.digest):
            return
        async with await self._workshop.content.ingest(f"cache-{blob.digest}") as ingest:
            async for chunk in await self._session.read_content(self._store, blob.digest):
                await ingest.write(chunk)
            found = await held.finish(ingest)
        if found.digest != blob.digest:
            raise errdefs.InvalidArgument(f"{blob.digest} of the cache is other content")


class HereShelf:
    """The images of this engine."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def document(self, digest: str, size: int) -> bytes:
        """See Shelf."""
        del size
        return await self._workshop.content.read(digest)

    async def bring(self, blob: Descriptor, held: BlobSession) -> None:
        """See Shelf."""
        if not await held.take(blob.digest):
            raise errdefs.NotFound(f"the blob {blob.digest} is not there any more")
