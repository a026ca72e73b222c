"""fsck: what images refer to is compared with what is there, and what nothing refers to is removed."""

import logging

import msgspec

from engine.images import layouts, pull
from engine.images.holds import BlobHolds
from engine.images.image import Image
from engine.images.layers import Layers
from engine.images.store import ImageStore
from runtime.content.store import ContentStore

_log = logging.getLogger(__name__)


class Fsck:
    """Everything below the content store and the snapshots is what an image refers to, or goes."""

    def __init__(self, store: ImageStore, content: ContentStore, layers: Layers, blobs: BlobHolds) -> None:
        self._store = store
        self._content = content
        self._layers = layers
        self._blobs = blobs

    async def boot(self) -> None:
        """Read the records and find what is damaged or lost. Called once, first of all."""
        there = await self._content.walk()
        await self._store.load(lambda image: self._checked(image, there))

    async def sweep(self) -> None:
        """Remove layers and blobs that nothing refers to, half unpacked ones, and what pulls left a day ago.

        Called once, before anybody works, when the snapshots of containers that are no more are gone.
        """
        freed = await self._blobs.expire(pull.KEPT)
        if self._store.unreadable:
            _log.warning("nothing is swept while there are records of images that cannot be read")
            return
        half_done = await self._layers.sweep()
        layers, files = await self._layers.collect()
        freed += files + await self._blobs.drop_orphans()
        if half_done or freed:
            _log.info(
                "removed %d layers that no image needs and %d that were half unpacked; gave back %d bytes",
                *(len(layers), len(half_done), freed),
            )

    async def collect(self, age: float = 0.0) -> int:
        """Remove what nothing refers to, beside work that goes on; the bytes that were given back.

        What pulls left waits for another one for `age` seconds.
        """
        freed = await self._blobs.expire(age)
        if self._store.unreadable:
            return freed
        _, files = await self._layers.collect()
        return freed + files + await self._blobs.drop_orphans()

    async def _checked(self, image: Image, there: dict[str, int]) -> Image | None:
        """The record as it is now; None if what a container or inspect needs is gone."""
        gone = [
            digest for digest, size in image.content.items() if not await self._is_there(digest, size, there)
        ]
        if image.id in gone or image.manifest in gone:
            return None
        if not all(self._layers.exists(layer.chain_id) for layer in image.layers):
            return None
        if gone:
            _log.error(
                "the image %s has lost %d of its blobs: it runs, and cannot be saved or pushed until it is pulled or"
                " loaded again",
                *(image.id, len(gone)),
            )
        return image if image.manifest_size else await self._measured(image)

    async def _is_there(self, digest: str, size: int, there: dict[str, int]) -> bool:
        """Whether a blob is there, whole: one of another size than was noted is read, and removed if damaged."""
        found = there.get(digest)
        if found is None or size in (0, found) or await self._content.is_sound(digest):
            return found is not None
        _log.error("the blob %s is damaged, and removed", digest)
        await self._content.delete(digest)
        del there[digest]
        return False

    async def _measured(self, image: Image) -> Image:
        """A record of before its documents' sizes were noted, with them."""
        manifest = await self._content.read(image.manifest)
        return msgspec.structs.replace(
            image,
            manifest_type=layouts.media_type(layouts.manifest(manifest, "image manifest")),
            manifest_size=len(manifest),
            config_size=await self._content.size(image.id),
        )
