"""Layers as registries expect them: compressed once, when they are first pushed, and kept so from then on.

What was loaded from a docker-archive, imported or committed lies here as plain archives, under a manifest that was
written here. A manifest that an image came with is never touched.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from weakref import WeakValueDictionary

import aiofiles
import msgspec
from isal import isal_zlib

import errdefs
from engine import faults
from engine.images import layouts
from engine.images.holds import BlobSession
from engine.images.image import Image, Layer
from engine.images.registration import own_manifest
from engine.images.store import ImageStore
from runtime.content.store import ContentStore
from runtime.layers.inflate import inflate

STEPS = ("packed",)  # where the crash tests kill a push
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
_FIT = frozenset({GZIP, "application/vnd.oci.image.layer.v1.tar+zstd"})
_CHUNK = 1 << 20
_LEVEL = 1  # a sixth larger than zlib's default, in a fifteenth of its time
_FORMAT = 31  # gzip, with the largest window


class Compressing:
    """Makes images fit to be pushed. Each is compressed once, and can be used, named and removed meanwhile."""

    def __init__(self, store: ImageStore, content: ContentStore) -> None:
        self._store = store
        self._content = content
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self, image_id: str, held: BlobSession) -> Image:
        """The image as it is now, with layers that are compressed, all of it held.

        SystemFailure if it is not there, or a blob is not what it was. If it is removed meanwhile, it does not come
        back.
        """
        async with self._locks.setdefault(image_id, asyncio.Lock()):
            image = await self._take(image_id, held)
            while (packed := await self._packed(image, held)) is not image:
                async with self._store.lock(image_id):
                    known = self._store.find(image_id)
                    if known is None:
                        return packed
                    if known.manifest == image.manifest:
                        return await self._store.save(_over(known, packed))
                image = await self._take(image_id, held)  # a pull has brought the registry's own blobs
            return image

    async def _take(self, image_id: str, held: BlobSession) -> Image:
        async with self._store.lock(image_id):
            image = self._store.find(image_id)
            if image is None:
                raise errdefs.SystemFailure(f"could not find the image {image_id}: it was removed meanwhile")
            for digest in image.blobs:
                held.keep(digest)
            return image

    async def _packed(self, image: Image, held: BlobSession) -> Image:
        """The image of compressed layers; itself if it is fit as it is."""
        raw = await self._content.read(image.manifest)
        if not _is_own(image, raw) or (_is_versioned(raw) and _is_fit(image)):
            return image
        layers = await self.fit(image.layers, held)
        manifest = own_manifest(image.id, image.config_size, layers)
        packed = msgspec.structs.replace(
            image,
            layers=layers,
            manifest=await held.put(self._content, manifest),
            manifest_size=len(manifest),
        )
        faults.hit("push.packed")
        return packed

    async def fit(self, layers: Sequence[Layer], held: BlobSession) -> list[Layer]:
        """The same layers, compressed where they are not, and held. SystemFailure if a blob is not what it was."""
        fitting: list[Layer] = []
        for layer in layers:
            fitting.append(await self._fit(layer, fitting, held))
        return fitting

    async def _fit(self, layer: Layer, done: list[Layer], held: BlobSession) -> Layer:
        if layer.media_type in _FIT:
            return layer
        others = [each for image in self._store.all() for each in image.layers]
        for other in (*done, *others):
            fits = other.diff_id == layer.diff_id and other.media_type in _FIT
            if fits and await held.take(other.blob):
                return _of(layer, other.blob, other.blob_size, other.media_type)
        return await self._compressed(layer, held)

    async def _compressed(self, layer: Layer, held: BlobSession) -> Layer:
        packing = _Packing(layer.diff_id)
        async with (
            aclosing(inflate(read_blob(self._content.path(layer.blob)))) as pieces,
            await self._content.ingest(f"push-{secrets.token_hex(8)}") as ingest,
        ):
            async for piece in pieces:
                await ingest.write(await asyncio.to_thread(packing.feed, piece))
            await ingest.write(packing.finish())
            found = await held.finish(ingest)
        return _of(layer, found.digest, found.size, GZIP)


class _Packing:
    """An archive on its way into gzip, always to the same bytes."""

    def __init__(self, diff_id: str) -> None:
        self._diff_id = diff_id
        self._hash = hashlib.sha256()
        self._gzip = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _FORMAT)

    def feed(self, data: bytes) -> bytes:
        self._hash.update(data)
        return self._gzip.compress(data)

    def finish(self) -> bytes:
        if self._diff_id != f"sha256:{self._hash.hexdigest()}":
            raise errdefs.SystemFailure(f"the layer {self._diff_id} has other bytes than when it came")
        return self._gzip.flush()


async def read_blob(path: Path) -> AsyncGenerator[bytes, None]:
    """A blob as it lies there, in chunks of up to a megabyte. SystemFailure if the disk does not give it."""
    try:
        async with aiofiles.open(path, "rb", buffering=0) as blob:
            while chunk := await blob.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise errdefs.SystemFailure(f"cannot read the blob {path.name}: {error.strerror}") from error


def _is_own(image: Image, raw: bytes) -> bool:
    """Whether the manifest was written here: one that came with the image stays, plain layers and all."""
    return not _is_versioned(raw) or raw == own_manifest(image.id, image.config_size, image.layers)


def _is_versioned(raw: bytes) -> bool:
    """Whether a manifest names its schema, as registries demand: those that were first written here did not."""
    return layouts.manifest(raw, "image manifest").schema_version != 0


def _is_fit(image: Image) -> bool:
    return all(layer.media_type in _FIT for layer in image.layers)


def _over(known: Image, packed: Image) -> Image:
    """The record of now, of the layers that were compressed meanwhile."""
    return msgspec.structs.replace(
        known, layers=packed.layers, manifest=packed.manifest, manifest_size=packed.manifest_size
    )


def _of(layer: Layer, blob: str, size: int, media_type: str) -> Layer:
    return msgspec.structs.replace(layer, blob=blob, blob_size=size, media_type=media_type)
