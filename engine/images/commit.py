"""`docker commit`, the image's side: one more layer, and a config of its own, on the image of a container."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias

import msgspec

from engine.containers.config import ContainerConfig
from engine.images import config, platforms, timestamps
from engine.images.abreast import abreast
from engine.images.config import History, ImageConfig, RootFS
from engine.images.holds import BlobSession
from engine.images.image import Image
from engine.images.layers import LayerSession, Unpacking
from engine.images.reference import Reference
from engine.images.registration import Blob, Candidate
from engine.images.workshop import Workshop
from engine.progress import ignore
from engine.version import ENGINE
from runtime.content.store import Descriptor
from runtime.layers.archive import END
from runtime.layers.growing import Growing

_EMPTY = config.digest_of(END)
"""The layer of a container that changed nothing: Docker keeps none for it."""

LayerWriter: TypeAlias = Callable[[int, int], Awaitable[Descriptor]]
"""Writes a layer's plain archive to the first descriptor, tells of more by the second one (runtime.layers.growing)."""


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """What the image is to say: of whom it is (`parent` is an image's id, `container` a container's), and what it
    gives to its own containers (`config`).
    """

    parent: str
    container: str
    container_config: ContainerConfig
    config: ContainerConfig
    author: str
    comment: str


class Committer:
    """One request to commit."""

    def __init__(self, workshop: Workshop) -> None:
        self._content = workshop.content
        self._layers = workshop.layers
        self._blobs = workshop.blobs
        self._registrar = workshop.registrar

    async def run(
        self,
        asked: Commit,
        parent: Image | None,
        layer: LayerWriter,
        names: Sequence[Reference],
        read: Callable[[], Awaitable[None]],
    ) -> Image:
        """Make the image; `read` is called as soon as the layer's archive is written. Without a parent that is all."""
        async with self._blobs.session() as blobs, self._layers.session() as layers:
            for digest in parent.blobs if parent else ():
                blobs.keep(digest)
            for each in parent.layers if parent else ():
                layers.hold(each.chain_id)
            diff_ids = parent.config.diff_ids if parent else []
            found = await self._store_layer(layer, diff_ids, blobs, layers, read)
            own = [] if found.digest == _EMPTY else [Blob(digest=found.digest, size=found.size)]
            layers_below = parent.layers if parent else ()
            below = [Blob(digest=each.blob, size=each.blob_size) for each in layers_below]
            made = child(asked, parent.config if parent else _of_nothing(), [blob.digest for blob in own])
            candidate = Candidate(
                raw_config=config.encode(made),
                config=made,
                blobs=[*below, *own],
                parent=parent.id if parent else "",
                tagged=time.time_ns() if names else 0,
            )
            return await self._registrar.register("commit", candidate, names, blobs, layers, ignore)

    async def _store_layer(
        self,
        layer: LayerWriter,
        below: list[str],
        blobs: BlobSession,
        layers: LayerSession,
        read: Callable[[], Awaitable[None]],
    ) -> Descriptor:
        """Have a plain archive stored, and unpack it meanwhile: its digest is the layer's diff id."""
        parent = config.chain_ids(below)[-1] if below else ""
        whole: asyncio.Future[Unpacking | None] = asyncio.get_running_loop().create_future()
        async with await self._content.ingest(f"commit-{secrets.token_hex(8)}") as ingest:
            with Growing(await ingest.follow()) as archive:
                async with abreast([self._layers.follow(layers, archive, parent, whole)]):
                    await ingest.fill(partial(_written, layer, archive.tell))
                    archive.end()
                    await read()
                    found = await blobs.finish(ingest)
                    whole.set_result(self._unpacking(found, below, parent))
            return found

    def _unpacking(self, found: Descriptor, below: list[str], parent: str) -> Unpacking | None:
        if found.digest == _EMPTY:
            return None
        return Unpacking(
            position=len(below),
            diff_id=found.digest,
            chain_id=config.chain_ids([*below, found.digest])[-1],
            parent=parent,
            blob=self._content.path(found.digest),
        )


def _written(layer: LayerWriter, tell: int, file: int) -> Awaitable[Descriptor]:
    return layer(file, tell)


def _of_nothing() -> ImageConfig:
    host = platforms.host()
    return ImageConfig(architecture=host.architecture, variant=host.variant, os=host.os)


def child(asked: Commit, parent: ImageConfig, diff_ids: list[str]) -> ImageConfig:
    """The config of an image that stands on another, with one more layer or none."""
    now = timestamps.render(time.time_ns())
    step = History(
        created=now,
        created_by=" ".join(asked.container_config.cmd or ()),
        author=asked.author,
        comment=asked.comment,
        empty_layer=not diff_ids,
    )
    return ImageConfig(
        architecture=parent.architecture,
        variant=parent.variant,
        os=parent.os,
        os_version=parent.os_version,
        os_features=parent.os_features,
        created=now,
        author=asked.author,
        docker_version=ENGINE,
        container=asked.container,
        container_config=asked.container_config,
        config=asked.config,
        history=[*parent.history, step],
        rootfs=RootFS(diff_ids=[*parent.diff_ids, *diff_ids]),
    )
