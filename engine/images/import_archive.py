"""`docker import`: an image of one layer out of a root filesystem's archive, compressed or not."""

import secrets
import time
from collections.abc import AsyncIterator, Sequence

import errdefs
from engine.containers.config import ContainerConfig
from engine.images import config, platforms, timestamps
from engine.images.changes import apply_changes
from engine.images.config import History, ImageConfig, RootFS
from engine.images.holds import BlobSession
from engine.images.image import Image
from engine.images.platforms import Platform
from engine.images.reference import Reference
from engine.images.registration import Blob, Candidate
from engine.images.workshop import Workshop
from engine.progress import ignore
from runtime.content.store import Descriptor


class Import:
    """One request to import."""

    def __init__(self, workshop: Workshop) -> None:
        self._content = workshop.content
        self._layers = workshop.layers
        self._blobs = workshop.blobs
        self._registrar = workshop.registrar

    async def run(
        self,
        archive: AsyncIterator[bytes],
        *,
        names: Sequence[Reference],
        message: str,
        changes: list[str],
        platform: Platform,
    ) -> Image:
        """Make the image. InvalidArgument for bad changes, before a byte is read, and for a bad archive."""
        if platform.os != "linux":
            raise errdefs.InvalidArgument("operating system is not supported")
        given = apply_changes(ContainerConfig(), changes)
        async with self._blobs.session() as blobs, self._layers.session() as layers:
            found = await self._store_archive(archive, blobs)
            applied = await self._layers.discover(layers, self._content.path(found.digest), None)
            made = _config(applied.diff_id, given, message, platform)
            candidate = Candidate(
                raw_config=config.encode(made),
                config=made,
                blobs=[Blob(digest=found.digest, size=found.size)],
                tagged=time.time_ns() if names else 0,
            )
            return await self._registrar.register("import", candidate, names, blobs, layers, ignore)

    async def _store_archive(self, archive: AsyncIterator[bytes], blobs: BlobSession) -> Descriptor:
        async with await self._content.ingest(f"import-{secrets.token_hex(8)}") as ingest:
            async for chunk in archive:
                await ingest.write(chunk)
            return await blobs.finish(ingest)


def default_platform(text: str) -> Platform:
    """The platform that a text names, this machine's for an empty one. InvalidArgument otherwise."""
    return platforms.parse(text) if text else platforms.host()


def _config(diff_id: str, given: ContainerConfig, message: str, platform: Platform) -> ImageConfig:
    now = timestamps.render(time.time_ns())
    return ImageConfig(
        architecture=platform.architecture,
        variant=platform.variant,
        os=platform.os,
        created=now,
        comment=message,
        config=given,
        history=[History(created=now, comment=message)],
        rootfs=RootFS(diff_ids=[diff_id]),
    )
