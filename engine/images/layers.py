"""Layers as committed snapshots, named by chain id: unpacked once, removed when nothing stands on them.

Those of one image are unpacked side by side, as far as the snapshotter can do that; each is committed when the one
below it is there.
"""

import asyncio
import logging
import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from weakref import WeakValueDictionary

import msgspec

import errdefs
from engine.images import config
from runtime.layers.apply import Applied, apply
from runtime.layers.growing import Growing
from runtime.snapshots.snapshotter import Info, Kind, Snapshotter

_log = logging.getLogger(__name__)
_UNPACKING = "unpack-"  # begins the keys of snapshots that are being filled
_NAMED = "sha256:"  # begins the names of layers; others' snapshots are left alone
_AT_ONCE = min(4, len(os.sched_getaffinity(0)))  # workers that unpack: each keeps a CPU busy


class Unpacking(msgspec.Struct, frozen=True, kw_only=True):
    """A layer to be made: from this file, on that parent ("" for none)."""

    position: int  # in its image, from 0
    diff_id: str
    chain_id: str
    parent: str
    blob: Path


class LayerSession:
    """The layers that a piece of work needs, each after those below it; none of them is removed meanwhile."""

    def __init__(self, held: Counter[str]) -> None:
        self._held = held
        self.chain_ids: list[str] = []
        self.sizes: dict[tuple[str, Path], int] = {}
        """Bytes of the files of what it unpacked itself, by chain id and blob."""

    def hold(self, chain_id: str) -> None:
        """Need a layer from now on."""
        self._held[chain_id] += 1
        self.chain_ids.append(chain_id)


class Layers:
    """The layers of all images. `used` tells the chain ids that images refer to."""

    def __init__(self, snapshots: Snapshotter, used: Callable[[], set[str]]) -> None:
        self._snapshots = snapshots
        self._used = used
        self._held: Counter[str] = Counter()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._committed = asyncio.Condition()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[LayerSession]:
        """A piece of work: what it makes stays only if an image refers to it at the end."""
        session = LayerSession(self._held)
        try:
            yield session
        finally:
            self._held.subtract(session.chain_ids)
            self._held += Counter()
            await self.prune(list(dict.fromkeys(session.chain_ids)))

    def exists(self, chain_id: str) -> bool:
        """Whether the layer is there, whole."""
        try:
            return self._snapshots.info(chain_id).kind is Kind.COMMITTED
        except errdefs.NotFound:
            return False

    async def size(self, chain_id: str) -> int:
        """Bytes of a layer's files."""
        return (await self._snapshots.usage(chain_id)).size

    async def ensure(
        self, session: LayerSession, layer: Unpacking, progress: Callable[[int], None] | None
    ) -> int | None:
        """Have a layer, unpacked in this session unless it is there (None); else the bytes of its files.

        Waits until its parent is there, which the caller has to see to at the same time: whatever keeps that from
        coming must cancel this. InvalidArgument for a hostile or broken archive, or one that is not the layer it
        should be.
        """
        if layer.parent:
            session.hold(layer.parent)
        session.hold(layer.chain_id)
        async with self._lock(layer.chain_id):
            if self.exists(layer.chain_id):
                return session.sizes.get((layer.chain_id, layer.blob))
            async with self._filled(layer.parent, layer.blob, progress) as (key, applied):
                _require_diff_id(layer, applied)
                await self._arrival(layer.parent)
                await self._commit(layer.chain_id, key, applied, layer.parent)
            return applied.size

    async def verify(self, layer: Unpacking) -> int:
        """Unpack a blob beside a layer that is there; the bytes of its files. InvalidArgument as `ensure`."""
        async with self._filled(layer.parent, layer.blob, None) as (_, applied):
            _require_diff_id(layer, applied)
            return applied.size

    async def discover(
        self,
        session: LayerSession,
        blob: Path,
        progress: Callable[[int], None] | None,
        parent: str = "",
    ) -> Applied:
        """Make a layer whose diff id only its archive tells. InvalidArgument as `ensure`.

        The parent must be there, and be held; "" is none.
        """
        async with self._filled(parent, blob, progress) as (key, applied):
            chain_id = config.chain_id(parent, applied.diff_id)
            session.hold(chain_id)
            async with self._lock(chain_id):
                if not self.exists(chain_id):
                    await self._commit(chain_id, key, applied, parent)
        session.sizes[chain_id, blob] = applied.size
        return applied

    async def follow(
        self, session: LayerSession, archive: Growing, parent: str, whole: Awaitable[Unpacking | None]
    ) -> None:
        """Make a layer of an archive while that is written; `whole` then tells what it is, None for nothing to keep.

        The parent must be there, and be held.
        """
        async with self._filled(parent, archive, None) as (key, applied):
            layer = await whole
            if layer is None:
                return
            session.hold(layer.chain_id)
            async with self._lock(layer.chain_id):
                if not self.exists(layer.chain_id):
                    await self._commit(layer.chain_id, key, applied, parent)
            session.sizes[layer.chain_id, layer.blob] = applied.size

    async def adopt(self, session: LayerSession, chain_id: str, key: str) -> None:
        """Make a layer of an active snapshot that holds it and stands on its parent, which must be held.

        It is durable once `settle` was called. If the layer is there already the snapshot is left as it is.
        """
        session.hold(chain_id)
        async with self._lock(chain_id):
            if not self.exists(chain_id):
                await self._snapshots.commit(chain_id, key, durable=False)
                async with self._committed:
                    self._committed.notify_all()

    async def settle(self) -> None:
        """Make all layers durable, before anything durable refers to them."""
        await self._snapshots.settle()

    async def prune(self, chain_ids: list[str]) -> list[str]:
        """Remove those layers, given from the lowest up, that nothing needs; what was removed."""
        removed: list[str] = []
        if not (loose := set(chain_ids).difference(self._held)) or loose <= self._used():
            return removed  # as mostly
        for chain_id in reversed(chain_ids):
            if chain_id in self._held:
                continue  # the lock may be that of work which goes on for long
            async with self._lock(chain_id):
                if chain_id in self._held or chain_id in self._used():
                    continue
                try:
                    await self._snapshots.remove(chain_id)
                    removed.append(chain_id)
                except (errdefs.NotFound, errdefs.Conflict):
                    pass  # gone already, or a container stands on it
        return removed

    async def release(self, chain_id: str) -> None:
        """Remove a layer and those below it, as far as nothing needs them."""
        chain = [chain_id]
        try:
            while (parent := self._snapshots.info(chain[0]).parent) is not None:
                chain.insert(0, parent)
        except errdefs.NotFound:
            return
        await self.prune([name for name in chain if name.startswith(_NAMED)])

    async def sweep(self) -> list[str]:
        """Remove what a crash left half unpacked; what was removed. Before anybody unpacks."""
        half_done = [info.name for info in self._snapshots.walk() if self._abandoned(info)]
        for key in half_done:
            await self._discard(key)
        return half_done

    async def collect(self) -> tuple[list[str], int]:
        """Remove all layers that nothing needs; what was removed, and the bytes of its files."""
        needed = self._used() | self._held.keys()
        layers = [info.name for info in self._snapshots.walk() if self._is_layer(info)]
        sizes: dict[str, int] = {}
        for name in layers:
            if name not in needed:
                with suppress(errdefs.NotFound):  # others remove, too
                    sizes[name] = await self.size(name)
        removed = await self.prune(list(sizes))
        return removed, sum(sizes[name] for name in removed)

    def _is_layer(self, info: Info) -> bool:
        return info.kind is Kind.COMMITTED and info.name.startswith(_NAMED)

    def _abandoned(self, info: Info) -> bool:
        return info.kind is Kind.ACTIVE and info.name.startswith(_UNPACKING)

    @asynccontextmanager
    async def _filled(
        self, parent: str, blob: Path | Growing, progress: Callable[[int], None] | None
    ) -> AsyncIterator[tuple[str, Applied]]:
        """A snapshot that is filled, by its key; gone at the end if it is not committed."""
        key = _UNPACKING + secrets.token_hex(8)
        needed = "" if self._snapshots.stacks_late else parent
        await self._arrival(needed)
        try:
            async with self._slots:
                await self._snapshots.prepare(key, needed or None)
                applied = await apply(
                    blob,
                    self._snapshots.upper(key),
                    whiteouts=self._snapshots.whiteouts,
                    expected_diff_id=None,
                    progress=progress,
                )
            yield key, applied
        finally:
            await self._discard(key)

    async def _arrival(self, parent: str) -> None:
        """Wait until a layer is there; "" is that there shall be none."""
        async with self._committed:
            await self._committed.wait_for(lambda: not parent or self.exists(parent))

    async def _commit(self, chain_id: str, key: str, applied: Applied, parent: str) -> None:
        inherit = bool(parent) and not applied.describes_root
        try:
            await self._snapshots.commit(chain_id, key, parent or None, inherit_root=inherit)
        finally:
            async with self._committed:
                self._committed.notify_all()

    async def _discard(self, key: str) -> None:
        try:
            await self._snapshots.remove(key)
        except errdefs.NotFound:
            pass  # it was committed
        except errdefs.WherryError as error:
            _log.warning("the unfinished layer %s stays until the next start: %s", key, error)

    def _lock(self, chain_id: str) -> asyncio.Lock:
        return self._locks.setdefault(chain_id, asyncio.Lock())


def _require_diff_id(layer: Unpacking, applied: Applied) -> None:
    if applied.diff_id != layer.diff_id:
        raise errdefs.InvalidArgument(
            f'invalid diffID for layer {layer.position}: expected "{layer.diff_id}", got "{applied.diff_id}"'
        )
