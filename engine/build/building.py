"""Builds of an engine, of which most is loaded when the first one comes: a quarter of all code is for them alone."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec

from engine.build import leftovers
from engine.build.cache_prune import BuildCache
from engine.build.history import HistoryStore
from engine.build.keeping import Keeping
from engine.build.solver.records import CacheStore
from engine.config.builder import BuilderConfig
from engine.containers.machinery import Machinery
from engine.containers.store import ContainerStore
from engine.images.pull import Pulls
from engine.images.push import Pushes
from engine.registry.client import Registry

if TYPE_CHECKING:
    from engine.build.assembly import Doors


class Supplies(msgspec.Struct, frozen=True, kw_only=True):
    """What of the engine builds need."""

    machinery: Machinery
    containers: ContainerStore
    records: CacheStore
    history: HistoryStore
    pulls: Pulls
    pushes: Pushes
    registry: Registry


class Building:
    """What builds is behind `doors`, and `cache` has what was kept of builds."""

    def __init__(self, supplies: Supplies) -> None:
        """Use `open`."""
        machinery = supplies.machinery
        root = machinery.config.data_root / "build"
        self.cache = BuildCache(supplies.records, machinery.images.workshop, root / "cache")
        self._supplies = supplies
        self.keeping = Keeping(self.cache, root, machinery.config.builder)
        self._turn = asyncio.Lock()
        self._doors: Doors | None = None
        self._resources = AsyncExitStack()
        self._resources.push_async_callback(self.keeping.close)

    @classmethod
    async def open(cls, supplies: Supplies) -> "Building":
        """Sweep what a crash left of builds, and be ready for more."""
        root = supplies.machinery.config.data_root / "build"
        await leftovers.sweep_contexts(root / "contexts")
        await leftovers.sweep_caches(supplies.records, root / "cache")
        return cls(supplies)

    async def doors(self) -> "Doors":
        """What builds. Who comes first, and who comes meanwhile, waits until it is loaded."""
        async with self._turn:
            if self._doors is None:
                assemble = await asyncio.to_thread(_load)
                self._doors = assemble(self._supplies, self.keeping.grown, self._resources)
        return self._doors

    def configure(self, config: BuilderConfig) -> None:
        """Go by this from now on; so does what is loaded later, by the machinery's configuration."""
        self.keeping.configure(config)
        if self._doors is not None:
            self._doors.builds.configure(config)

    async def close(self) -> None:
        """End what is left of builds, when nobody asks for any."""
        await self._resources.aclose()


def _load() -> "Callable[[Supplies, Callable[[], None], AsyncExitStack], Doors]":
    """Blocks for some tenths of a second, the first time."""
    from engine.build.assembly import assemble

    return assemble
