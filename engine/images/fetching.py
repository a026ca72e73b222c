"""The layers of an image out of a registry: fetched and unpacked side by side."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

import errdefs
from engine import faults
from engine.images import config
from engine.images.abreast import abreast
from engine.images.holds import BlobSession
from engine.images.image import Layer
from engine.images.layers import LayerSession
from engine.images.reference import short_id
from engine.images.registration import Blob, Candidate
from engine.images.sharing import Report, Sharing
from engine.images.transfer import Downloads
from engine.images.workshop import Workshop
from engine.progress import Message
from engine.registry.errors import PutOff, Transient
from engine.registry.origin import Origin

STEPS = ("layer",)  # where the crash tests kill a pull


class Fetching:
    """Has layers of images. Those that several want at the same time are fetched and unpacked once."""

    def __init__(self, workshop: Workshop, downloads: Downloads) -> None:
        self._store = workshop.store
        self._layers = workshop.layers
        self._blobs = workshop.blobs
        self._registrar = workshop.registrar
        self._downloads = downloads
        self._unpacking: Sharing[Layer] = Sharing()

    @asynccontextmanager
    async def fetched(
        self,
        candidate: Candidate,
        origin: Origin,
        blobs: BlobSession,
        layers: LayerSession,
        report: Report,
    ) -> AsyncIterator[list[Layer]]:
        """The layers of an image, held by those sessions. InvalidArgument for what can become no image here.

        What is fetched waits for another pull only if this one breaks off or fails for what may pass, within the block
        or before.
        """
        _require_pullable(candidate)
        digests = {blob.digest for blob in candidate.blobs}
        try:
            yield await self._all(_Wanted(candidate, origin, report), blobs, layers)
        except (PutOff, Transient):
            raise
        except Exception:
            await self._blobs.release(digests)
            raise
        await self._blobs.release(digests)

    async def _all(self, wanted: "_Wanted", blobs: BlobSession, layers: LayerSession) -> list[Layer]:
        """Have all layers, side by side: each is unpacked as soon as it is fetched."""
        for chain_id in wanted.chain_ids:
            layers.hold(chain_id)
        present = await self._present(wanted, blobs)
        missing = range(len(present), len(wanted.blobs))
        for position in missing:
            wanted.report(Message.step(short_id(wanted.blobs[position].digest), "Pulling fs layer"))
        works = [self._layer(wanted, position, blobs) for position in missing]
        async with abreast(works) as coming:
            return present + [await layer for layer in coming]

    async def _present(self, wanted: "_Wanted", blobs: BlobSession) -> list[Layer]:
        """The layers from the lowest up that images have here, of the same blobs, which are held."""
        present: list[Layer] = []
        for chain_id, blob in zip(wanted.chain_ids, wanted.blobs, strict=True):
            known = self._store.layer(chain_id, blob.digest)
            if known is None or known.blob != blob.digest or not await blobs.take(known.blob):
                break
            present.append(known)
            wanted.report(Message.step(short_id(blob.digest), "Already exists"))
        return present

    async def _layer(self, wanted: "_Wanted", position: int, blobs: BlobSession) -> Layer:
        blob = wanted.blobs[position]
        async with self._downloads.fetch(wanted.origin, blob, wanted.report):
            blobs.keep(blob.digest)
        unpacking = self._unpacking.join(
            f"{wanted.chain_ids[position]} {blob.digest}",
            lambda tell: self._unpacked(wanted.candidate, position, tell),
            wanted.report,
        )
        async with unpacking as layer:
            blobs.keep(layer.blob)
        faults.hit("pull.layer")
        return layer

    @asynccontextmanager
    async def _unpacked(self, candidate: Candidate, position: int, tell: Report) -> AsyncIterator[Layer]:
        blob = candidate.blobs[position]
        shown = short_id(blob.digest)

        def count(read: int) -> None:
            tell(Message.counted(shown, "Extracting", min(read, blob.size), blob.size))

        async with self._blobs.session() as blobs, self._layers.session() as layers:
            blobs.keep(blob.digest)
            try:
                layer, _ = await self._registrar.unpack(candidate, position, blobs, layers, count)
            except errdefs.WherryError as failure:
                raise type(failure)(f"failed to register layer: {failure.message}") from None
            count(blob.size)
            tell(Message.step(shown, "Pull complete"))
            yield layer


class _Wanted(msgspec.Struct, frozen=True):
    """An image of which the layers are wanted; `report` is told of them."""

    candidate: Candidate
    origin: Origin
    report: Report

    @property
    def blobs(self) -> Sequence[Blob]:
        """A blob for each layer."""
        return self.candidate.blobs

    @property
    def chain_ids(self) -> list[str]:
        """The chain ids of the layers."""
        return config.chain_ids(self.candidate.config.diff_ids)


def _require_pullable(candidate: Candidate) -> None:
    """Pass for what can become an image here. InvalidArgument in Docker's words."""
    system = candidate.config.os or "linux"
    if system != "linux":
        raise errdefs.InvalidArgument(
            f'image operating system "{system}" cannot be used on this platform: operating system is not supported'
        )
    if len(candidate.blobs) != len(candidate.config.diff_ids):
        raise errdefs.InvalidArgument("layers from manifest don't match image configuration")
    for blob in candidate.blobs:
        if not config.is_sha256(blob.digest) or blob.size < 0:
            raise errdefs.InvalidArgument(
                f"invalid image manifest: a layer is named {blob.digest[:80]!r}, of {blob.size} bytes"
            )
