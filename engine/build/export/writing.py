"""A build's result as an image: its layers described, its config and manifest stored."""

from collections.abc import Callable, Sequence

import msgspec

import errdefs
from engine.build import refs
from engine.build.results import Built
from engine.images import config
from engine.images.abreast import abreast
from engine.images.holds import BlobSession
from engine.images.image import Image, Layer
from engine.images.reference import Reference
from engine.images.registration import Blob, Candidate, media_type
from engine.images.workshop import Workshop

INLINE_CACHE = "moby.buildkit.cache.v0"
"""The field of a config that tells which steps made its layers."""
Inline = Callable[[Built], bytes]
"""What that field is to have for an image, b"" for nothing."""


class ImageWriter:
    """Makes images of results. What they stand on must be held by the build."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def layers(self, ref: refs.Ref, held: BlobSession) -> list[Layer]:
        """The layers as an image has them; their blobs are held. SystemFailure if one is lost."""
        async with abreast([self._layer(layer, held) for layer in ref.layers]) as coming:
            return [await each for each in coming]

    async def _layer(self, layer: refs.Layer, held: BlobSession) -> Layer:
        if not await held.take(layer.blob):
            raise errdefs.SystemFailure(f"the blob {layer.blob} of a layer is not there any more")
        known = self._workshop.store.layer(layer.chain_id, layer.blob)
        if known is not None and known.blob == layer.blob:
            return known
        return Layer(
            diff_id=layer.diff_id,
            chain_id=layer.chain_id,
            size=await self._workshop.layers.size(layer.chain_id),
            blob=layer.blob,
            blob_size=layer.size,
            media_type=await media_type(self._workshop.content.path(layer.blob)),
        )

    async def unrecorded(
        self, built: Built, layers: list[Layer], held: BlobSession, inline: bytes = b""
    ) -> Image:
        """The image with all of its content stored and held, in no list and without a name."""
        candidate = _candidate(built, _raw(built, inline), layers)
        return await self._workshop.registrar.documents(candidate, layers, held)

    async def record(
        self,
        built: Built,
        names: Sequence[Reference],
        *,
        tagged: int = 0,
        parent: str = "",
        inline: bytes = b"",
    ) -> Image:
        """The image in the store, under those names. `tagged` is now in Unix nanoseconds, `parent` an image's id."""
        raw = _raw(built, inline)
        async with self._workshop.blobs.session() as held, self._workshop.layers.session() as chain:
            if (known := await self._known(config.digest_of(raw), names, held, tagged)) is not None:
                return known
            for each in built.ref.layers:
                chain.hold(each.chain_id)
            layers = await self.layers(built.ref, held)
            candidate = _candidate(built, raw, layers, parent=parent, tagged=tagged)
            return await self._workshop.registrar.record("build", candidate, layers, names, held)

    async def _known(
        self, image_id: str, names: Sequence[Reference], held: BlobSession, tagged: int
    ) -> Image | None:
        """The image as it is here, if it has those names already: nothing waits for the disk then."""
        store = self._workshop.store
        async with store.lock(image_id):
            known = store.find(image_id)
            if known is None or not {name.familiar for name in names} <= set(known.references):
                return None
            if not await self._workshop.registrar.is_whole(known, held):
                return None
            again = msgspec.structs.replace(known, last_tagged=max(known.last_tagged, tagged))
            return await store.note(again)


def _raw(built: Built, inline: bytes) -> bytes:
    """The document of the config, with what it tells of the steps that made its layers."""
    raw = config.encode(built.config)
    if not inline:
        return raw
    return msgspec.json.encode({**msgspec.json.decode(raw), INLINE_CACHE: inline}, order="deterministic")


def _candidate(
    built: Built, raw: bytes, layers: Sequence[Layer], *, parent: str = "", tagged: int = 0
) -> Candidate:
    return Candidate(
        raw_config=raw,
        config=built.config,
        blobs=[Blob(digest=layer.blob, size=layer.blob_size) for layer in layers],
        parent=parent,
        tagged=tagged,
    )
