"""Where steps of a build do their work: file systems mounted for a while, and the layers that come of them.

A layer is made at once and named by what it is: its archive is a blob, and the snapshot in which it was made becomes
the layer's, so that nothing is unpacked. Neither is on the disk for good before `settle`: call that once before
something durable refers to layers (images do it themselves). What a crash of the host finds
unsettled is removed.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

import errdefs
from engine import faults
from engine.build.refs import Layer, Ref
from engine.build.storing import EMPTY, Storing, Top, top_of
from engine.images import config
from engine.images.holds import BlobHolds, BlobSession
from engine.images.layers import Layers, LayerSession, Unpacking
from runtime.content.store import ContentStore
from runtime.copying.workers import Workers
from runtime.layers.archive import END
from runtime.settled import settled, whole
from runtime.snapshots.snapshotter import Snapshotter
from runtime.spec.identity import HOST, Identity

STEPS = ("prepared", "mounted", "packed", "stored", "adopted")  # where the crash tests kill a build
_KEY = "build-"  # begins the keys of snapshots that are worked in


class Holds:
    """What a piece of work needs of layers and blobs: none of it is removed before the work is over."""

    def __init__(self, layers: Layers, chain: LayerSession, blobs: BlobSession) -> None:
        """Use `Workspaces.holds`."""
        self._layers = layers
        self.layers = chain
        self.blobs = blobs

    async def take(self, layer: Layer) -> bool:
        """Hold a layer and its blob; False if one of them is not there (any more)."""
        self.layers.hold(layer.chain_id)
        return self._layers.exists(layer.chain_id) and await self.blobs.take(layer.blob)

    def keep(self, layer: Layer) -> bool:
        """Hold a layer and its blob, which a record refers to at this moment; False if the layer is not there."""
        self.layers.hold(layer.chain_id)
        self.blobs.keep(layer.blob)
        return self._layers.exists(layer.chain_id)

    def stand_on(self, ref: Ref) -> None:
        """Hold the layers of a ref, without their blobs. NotFound if one is not there."""
        for layer in ref.layers:
            self.layers.hold(layer.chain_id)
            if not self._layers.exists(layer.chain_id):
                raise errdefs.NotFound(f"layer {layer.chain_id} does not exist")


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """A file system that can be written, mounted at `root`; its changes alone are in `upper`, on top of `below`."""

    root: Path
    upper: Path
    below: list[Path]
    commit: "Commit"


class Commit(Protocol):
    """What makes a layer of a workspace's changes."""

    async def __call__(self, tidy: Callable[[], None] | None = None) -> Layer | None:
        """The layer, which is held; None for no changes.

        `root` is unmounted, and nobody works there. Then `tidy`, which blocks, may change `upper`.
        """


class Workspaces:
    """Makes them. In `directory`, which is the build's alone below the exec root, they are mounted."""

    def __init__(
        self,
        snapshots: Snapshotter,
        content: ContentStore,
        layers: Layers,
        blobs: BlobHolds,
        directory: Path,
        workers: Workers,
    ) -> None:
        """Nothing is mounted."""
        self._snapshots = snapshots
        self._content = content
        self._layers = layers
        self._blobs = blobs
        self._directory = directory
        self._storing = Storing(content, workers)
        self._keys: dict[Path, str] = {}
        self._unmounted: set[Path] = set()

    def close(self) -> None:
        """When no work goes on any more."""
        self._storing.close()

    @asynccontextmanager
    async def holds(self) -> AsyncIterator[Holds]:
        """A piece of work, mostly a build: what it made and nothing refers to at the end is removed."""
        async with self._blobs.session() as blobs, self._layers.session() as layers:
            yield Holds(self._layers, layers, blobs)

    async def settle(self) -> None:
        """Make all layers and blobs durable; takes as long as the disk needs once, and nothing if they are."""
        await self._layers.settle()
        await self._content.settle()

    @asynccontextmanager
    async def writable(self, ref: Ref, holds: Holds, identity: Identity = HOST) -> AsyncIterator[Workspace]:
        """A file system with a ref's files, to be changed; all changes are gone at the end if not committed.

        The ref's layers must be held. With an `identity` it is that of such a container: its own ids are the host's.
        """
        key = f"{_KEY}{secrets.token_hex(8)}"
        async with AsyncExitStack() as undo:
            undo.push_async_callback(lambda: whole(self._discard(key)))
            await self._snapshots.prepare(key, ref.chain_id or None, durable=False)
            faults.hit("build.prepared")
            upper = self._snapshots.upper(key)
            top = await settled(top_of, upper)
            root = await undo.enter_async_context(self._mounted(key, identity))
            yield Workspace(
                root=root,
                upper=upper,
                below=self._snapshots.below(key),
                commit=partial(self._commit, key, ref, root, holds, top),
            )

    @asynccontextmanager
    async def view(self, ref: Ref) -> AsyncIterator[Path]:
        """A ref's files, mounted for reading. Its layers must be held."""
        key = f"{_KEY}{secrets.token_hex(8)}"
        async with AsyncExitStack() as undo:
            undo.push_async_callback(lambda: whole(self._discard(key)))
            await self._snapshots.view(key, ref.chain_id or None, durable=False)
            root = await undo.enter_async_context(self._mounted(key))
            self._keys[root] = key
            undo.callback(self._keys.pop, root)
            yield root

    def stacked(self, root: Path) -> list[Path]:
        """The directories that make the files of a view, by where it is mounted, the uppermost first; [root] if it is
        none.
        """
        return self._snapshots.below(self._keys[root]) if root in self._keys else [root]

    @asynccontextmanager
    async def scratch(self) -> AsyncIterator[Path]:
        """An empty directory on the disk of layers; it goes with all that is in it."""
        key = f"{_KEY}{secrets.token_hex(8)}"
        try:
            await self._snapshots.prepare(key, None, durable=False)
            yield self._snapshots.upper(key)
        finally:
            await whole(self._discard(key))

    async def stack(self, ref: Ref, layer: Layer, holds: Holds) -> Layer:
        """The same changes on other files: a layer that is held. Ref's layers and the layer's blob must be held.

        InvalidArgument for a blob that is not the layer.
        """
        chain_id = config.chain_id(ref.chain_id, layer.diff_id)
        unpacking = Unpacking(
            position=len(ref.layers),
            diff_id=layer.diff_id,
            chain_id=chain_id,
            parent=ref.chain_id,
            blob=self._content.path(layer.blob),
        )
        await self._layers.ensure(holds.layers, unpacking, None)
        return msgspec.structs.replace(layer, chain_id=chain_id)

    async def unchanged(self, ref: Ref, holds: Holds) -> Layer:
        """A layer that changes nothing, held. Ref's layers must be held."""
        if not await holds.blobs.take(EMPTY):
            await holds.blobs.put(self._content, END)
        key, chain_id = f"{_KEY}{secrets.token_hex(8)}", config.chain_id(ref.chain_id, EMPTY)
        try:
            await self._snapshots.prepare(key, ref.chain_id or None, durable=False)
            await self._layers.adopt(holds.layers, chain_id, key)
        finally:
            await whole(self._discard(key))
        return Layer(diff_id=EMPTY, chain_id=chain_id, blob=EMPTY, size=len(END))

    async def _commit(
        self,
        key: str,
        ref: Ref,
        root: Path,
        holds: Holds,
        top: Top,
        tidy: Callable[[], None] | None = None,
    ) -> Layer | None:
        await self._snapshots.unmount(root)
        self._unmounted.add(root)
        if tidy is not None:
            await settled(tidy)
        stored = await self._storing.store(self._snapshots.upper(key), top, holds.blobs)
        faults.hit("build.stored")
        if stored.digest == EMPTY:
            return None
        chain_id = config.chain_id(ref.chain_id, stored.digest)
        made = Layer(diff_id=stored.digest, chain_id=chain_id, blob=stored.digest, size=stored.size)
        if stored.ambiguous:  # the snapshot is not what the archive says, by which others know the layer
            return await self.stack(ref, made, holds)
        await self._layers.adopt(holds.layers, chain_id, key)
        faults.hit("build.adopted")
        return made

    @asynccontextmanager
    async def _mounted(self, key: str, identity: Identity = HOST) -> AsyncIterator[Path]:
        root = self._directory / key
        try:
            await settled(_make, root, identity)
            await self._snapshots.mount(key, root, identity=identity)
            faults.hit("build.mounted")
            yield root
        finally:
            await whole(self._unmount(root))

    async def _unmount(self, root: Path) -> None:
        if root not in self._unmounted:
            await self._snapshots.unmount(root)
        self._unmounted.discard(root)
        with suppress(FileNotFoundError):
            await asyncio.to_thread(root.rmdir)

    async def _discard(self, key: str) -> None:
        try:
            await self._snapshots.remove(key)
        except errdefs.NotFound:
            pass  # it is a layer now, or never was


def _make(root: Path, identity: Identity) -> None:
    """The way to the root of a container with an identity is open to it."""
    root.mkdir(0o711 if identity.remapped else 0o700)
