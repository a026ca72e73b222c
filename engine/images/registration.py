"""Making an image of blobs that are there: layers unpacked, manifest written, the record last of all.

Until the record is committed nothing of it is an image; what a failure or a crash leaves is taken away by the
sessions, or swept at the next start.
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

import errdefs
from engine import faults
from engine.images import config, layouts
from engine.images.abreast import abreast
from engine.images.config import ImageConfig
from engine.images.holds import BlobSession
from engine.images.image import Image, Layer
from engine.images.layers import Layers, LayerSession, Unpacking
from engine.images.layouts import Descriptor, Manifest
from engine.images.loading import Meter
from engine.images.reference import Reference
from engine.images.store import ImageStore
from engine.progress import Progress
from runtime.content.store import ContentStore
from runtime.layers.decompress import detect

STEPS = ("layers", "documents", "save")  # where the crash tests kill load and import
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_SUFFIXES = {"": "", "gzip": "+gzip", "zstd": "+zstd", "bzip2": "+bzip2", "xz": "+xz"}


class Blob(msgspec.Struct, frozen=True, kw_only=True):
    """A layer as it came: digest and bytes of its file, compressed or not."""

    digest: str
    size: int


class Candidate(msgspec.Struct, kw_only=True):
    """What is to become an image: its config as it came, and a blob for each layer from the lowest up.

    `manifest` is the one it came with, None if it came without; `tagged` when its names were asked for
    (Unix nanoseconds), 0 if they came with it; `parent` is the id of the image that it was built on here;
    `repository` the canonical name of the one that it is pulled from, "" if it came in another way.
    """

    raw_config: bytes
    config: ImageConfig
    blobs: Sequence[Blob]
    manifest: bytes | None = None
    tagged: int = 0
    parent: str = ""
    repository: str = ""

    @property
    def id(self) -> str:
        """The id that the image will have."""
        return config.digest_of(self.raw_config)


class Registrar:
    """Makes images. Blobs and layers have to be held by the sessions that are handed in."""

    def __init__(self, store: ImageStore, content: ContentStore, layers: Layers) -> None:
        self._store = store
        self._content = content
        self._layers = layers

    async def register(
        self,
        verb: str,
        candidate: Candidate,
        names: Sequence[Reference],
        blobs: BlobSession,
        layers: LayerSession,
        progress: Progress,
    ) -> Image:
        """Make the image, or name the one that is there already; its record.

        InvalidArgument for a config that does not fit the layers, or layers that are broken or hostile.
        """
        async with self._store.lock(candidate.id):  # against a removal of what is here
            known = self._store.find(candidate.id)
            if known is not None and await self.is_whole(known, blobs):
                return await self._store.save(known, names)
        _require_fit(candidate)
        unpacked = await self._unpack(candidate, blobs, layers, progress)
        return await self.record(verb, candidate, unpacked, names, blobs)

    async def record(
        self,
        verb: str,
        candidate: Candidate,
        unpacked: list[Layer],
        names: Sequence[Reference],
        blobs: BlobSession,
    ) -> Image:
        """Make the image of layers that are there and held; see `_following` for one that is there already."""
        faults.hit(f"{verb}.layers")
        made = await self.documents(candidate, unpacked, blobs)
        faults.hit(f"{verb}.documents")
        async with self._store.lock(made.id):
            former = self._store.recorded(made.id)
            image = await self._following(made, former, blobs) if former else made
            await asyncio.gather(self._layers.settle(), self._content.settle())
            image = await self._store.save(image, names)
        faults.hit(f"{verb}.save")
        return image

    async def is_whole(self, image: Image, blobs: BlobSession) -> bool:
        """Whether all blobs of an image are here; from now on they are held."""
        return await blobs.take_all(image.blobs)

    async def _following(self, made: Image, former: Image, blobs: BlobSession) -> Image:
        """What becomes of an image that is made anew: its manifest and blobs take the place of the former's.

        One that a registry knows stays as it is, unless it is pulled again because it has lost content. Blobs that
        nothing needs then go with the session.
        """
        held = await self.is_whole(former, blobs)
        if held and not made.repositories and self._store.find(made.id):
            return former
        return msgspec.structs.replace(
            made,
            made=former.made,
            parent=made.parent or former.parent,
            last_tagged=max(made.last_tagged, former.last_tagged),
            last_used=former.last_used,
            repositories=sorted({*former.repositories, *made.repositories}),
        )

    async def _unpack(
        self, candidate: Candidate, blobs: BlobSession, held: LayerSession, progress: Progress
    ) -> list[Layer]:
        """Unpack all side by side, and tell of one after the other, as Docker does."""
        meters = [
            Meter(progress, diff_id, blob.size)
            for diff_id, blob in zip(candidate.config.diff_ids, candidate.blobs, strict=True)
        ]
        works = [
            self.unpack(candidate, position, blobs, held, meter.count)
            for position, meter in enumerate(meters)
        ]
        unpacked: list[Layer] = []
        async with abreast(works) as unpacking:
            for meter, work in zip(meters, unpacking, strict=True):
                async with meter:
                    layer, is_new = await work
                    if is_new:
                        await meter.done()
                unpacked.append(layer)
        return unpacked

    async def unpack(
        self,
        candidate: Candidate,
        position: int,
        blobs: BlobSession,
        held: LayerSession,
        count: Callable[[int], None],
    ) -> tuple[Layer, bool]:
        """Have one layer, and whether it was unpacked now; errors as of `register`.

        Those below it must be there or be unpacked at the same time. `count` is told the bytes of the blob that were
        read.
        """
        diff_ids, blob = candidate.config.diff_ids, candidate.blobs[position]
        chain_ids = config.chain_ids(diff_ids)
        unpacking = Unpacking(
            position=position,
            diff_id=diff_ids[position],
            chain_id=chain_ids[position],
            parent=chain_ids[position - 1] if position else "",
            blob=self._content.path(blob.digest),
        )
        size = await self._layers.ensure(held, unpacking, count)
        if size is None:
            given = candidate.manifest is not None
            return await self._present(unpacking, blob, blobs, given=given), False
        return await _describe(unpacking, blob, size), True

    async def _present(self, unpacking: Unpacking, blob: Blob, blobs: BlobSession, *, given: bool) -> Layer:
        """A layer that was there already, with a blob that is known to be it.

        That is the blob of another image, unless this one was `given` by the manifest: then it is checked, for
        nobody has unpacked it.
        """
        known = self._store.layer(unpacking.chain_id, blob.digest)
        suits = known is not None and (known.blob == blob.digest or not given)
        if known is not None and suits and await blobs.take(known.blob):
            return known
        return await _describe(unpacking, blob, await self._layers.verify(unpacking))

    async def documents(self, candidate: Candidate, unpacked: list[Layer], blobs: BlobSession) -> Image:
        """The image of layers that are there and held, unrecorded: config and manifest are stored, and held.

        They are durable once the content is settled.
        """
        image_id = await blobs.put(self._content, candidate.raw_config, durable=False)
        manifest = candidate.manifest or own_manifest(image_id, len(candidate.raw_config), unpacked)
        return Image(
            id=image_id,
            config=candidate.config,
            layers=unpacked,
            manifest=await blobs.put(self._content, manifest, durable=False),
            manifest_type=layouts.media_type(layouts.manifest(manifest, "image manifest")),
            manifest_size=len(manifest),
            config_size=len(candidate.raw_config),
            made=time.time_ns(),
            parent=candidate.parent,
            last_tagged=candidate.tagged,
            repositories=[candidate.repository] if candidate.repository else [],
        )


def require_runnable(made_for: ImageConfig) -> None:
    """Pass if the image is for this kind of system, whatever its processor. InvalidArgument otherwise."""
    system = made_for.os or "linux"
    if system != "linux":
        raise errdefs.InvalidArgument(f"cannot load {system} image on linux")


async def media_type(blob: Path) -> str:
    """What the blob of a layer is, by its first bytes."""
    return _LAYER + _SUFFIXES[detect(await asyncio.to_thread(_head, blob))]


async def _describe(unpacking: Unpacking, blob: Blob, size: int) -> Layer:
    return Layer(
        diff_id=unpacking.diff_id,
        chain_id=unpacking.chain_id,
        size=size,
        blob=blob.digest,
        blob_size=blob.size,
        media_type=await media_type(unpacking.blob),
    )


def _require_fit(candidate: Candidate) -> None:
    expected, found = len(candidate.blobs), len(candidate.config.diff_ids)
    if expected != found:
        raise errdefs.InvalidArgument(
            f"invalid manifest, layers length mismatch: expected {expected}, got {found}"
        )


def own_manifest(image_id: str, size: int, unpacked: list[Layer]) -> bytes:
    """The manifest of an image that came without one; `size` is its config's."""
    document = Manifest(
        schema_version=2,
        media_type=layouts.OCI_MANIFEST,
        config=Descriptor(media_type=_CONFIG, digest=image_id, size=size),
        layers=[
            layouts.Descriptor(media_type=layer.media_type, digest=layer.blob, size=layer.blob_size)
            for layer in unpacked
        ],
    )
    return msgspec.json.encode(document)


def _head(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 16)
    finally:
        os.close(fd)
