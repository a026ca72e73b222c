"""What images take of the disk, to the byte: unpacked layers, blobs as they came, and what is no blob yet."""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

import msgspec

import errdefs
from engine.images.image import Image
from engine.images.store import ImageStore
from runtime.content.store import ContentStore
from runtime.snapshots.snapshotter import Kind, Snapshotter


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of files by chain id, of blobs by digest, and of downloads and archives that are no blobs yet.

    Layers that no image has are those of images that were removed by force, on which containers stand.
    """

    layers: dict[str, int] = msgspec.field(default_factory=dict)
    blobs: dict[str, int] = msgspec.field(default_factory=dict)
    unfinished: int = 0

    @property
    def size(self) -> int:
        """All of it."""
        return sum(self.layers.values()) + sum(self.blobs.values()) + self.unfinished

    def without(self, layers: set[str], blobs: set[str]) -> "Stored":
        """All but those layers and blobs."""
        return Stored(
            layers={name: size for name, size in self.layers.items() if name not in layers},
            blobs={digest: size for digest, size in self.blobs.items() if digest not in blobs},
            unfinished=self.unfinished,
        )

    def of(self, image: Image) -> int:
        """What an image has of it, alone or together with others."""
        return sum(self._parts(image).values())

    def shared(self, everything: Iterable[Image]) -> dict[str, int]:
        """What each image, by its id, has together with others."""
        parts = {image.id: self._parts(image) for image in everything}
        owners = Counter(part for own in parts.values() for part in own)
        return {
            image_id: sum(size for part, size in own.items() if owners[part] > 1)
            for image_id, own in parts.items()
        }

    def reclaimable(self, used: Iterable[Image], everything: Iterable[Image]) -> int:
        """What is free once all images that are not used are removed."""
        used, everything = list(used), list(everything)
        needed = {part for image in used for part in self._parts(image)}
        idle = {part: size for image in everything for part, size in self._parts(image).items()}
        return sum(size for part, size in idle.items() if part not in needed) + self.unfinished

    def _parts(self, image: Image) -> dict[str, int]:
        layers = {
            f"layer {name}": self.layers.get(name, 0) for name in {each.chain_id for each in image.layers}
        }
        return {**layers, **{digest: self.blobs.get(digest, 0) for digest in image.blobs}}


async def measure(store: ImageStore, content: ContentStore, snapshots: Snapshotter) -> Stored:
    """Look what there is. Layers of images are not measured again."""
    known = {layer.chain_id: layer.size for image in store.all() for layer in image.layers}
    layers: dict[str, int] = {}
    for info in snapshots.walk():
        if info.kind is Kind.COMMITTED:
            with suppress(errdefs.NotFound):  # removed meanwhile
                size = known.get(info.name)
                layers[info.name] = (await snapshots.usage(info.name)).size if size is None else size
    return Stored(layers=layers, blobs=await content.walk(), unfinished=await content.unfinished())
