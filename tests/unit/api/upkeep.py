"""What an engine in memory has beside its containers and images: statistics, updates, prunes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Self

from engine.build.cache_filters import Usage
from engine.build.cache_prune import Pruned, Wanted
from engine.build.classic import ClassicBuild
from engine.build.history import Kept
from engine.containers import prune as containers
from engine.containers.config import HostConfig
from engine.containers.stats import Sample, Watch
from engine.filters import Filters
from engine.images import prune as images
from engine.progress import Message, Progress


@dataclass
class MemoryStats:
    """Gives `samples` to who watches, and ends."""

    samples: list[Sample] = field(default_factory=list)
    watched: int = 0

    def watch(self, reference: str) -> Watch:
        self.watched += 1
        watch = Watch()
        for sample in self.samples:
            watch.put(sample)
        watch.end()
        return watch

    def unwatch(self, reference: str, watch: Watch) -> None:
        self.watched -= 1

    async def once(self, reference: str) -> Sample:
        return self.samples[0]


@dataclass
class MemoryUpdates:
    """Notes what is asked."""

    asked: list[HostConfig] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    async def update(self, reference: str, asked: HostConfig) -> list[str]:
        self.asked.append(asked)
        return self.warnings


@dataclass
class MemoryContainerPrune:
    """Says what it is told to say."""

    pruned: containers.Pruned = field(default_factory=containers.Pruned)

    async def prune(self, filters: Filters) -> containers.Pruned:
        return self.pruned


@dataclass
class MemoryImagePrune:
    """Says what it is told to say."""

    pruned: images.Pruned = field(default_factory=images.Pruned)

    async def prune(self, filters: Filters) -> images.Pruned:
        return self.pruned


@dataclass
class MemoryNetworkPrune:
    """Says what it is told to say."""

    pruned: list[str] = field(default_factory=list)

    async def prune(self, filters: Filters) -> list[str]:
        return self.pruned


@dataclass
class MemoryClassic:
    """Notes what is asked, says `says`, and fails with `failure` or gives an id."""

    says: list[str] = field(default_factory=list)
    failure: Exception | None = None
    asked: list[ClassicBuild] = field(default_factory=list)
    contexts: list[bytes] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    async def build(self, asked: ClassicBuild, archive: AsyncIterator[bytes], progress: Progress) -> str:
        self.asked.append(asked)
        self.contexts.append(b"".join([chunk async for chunk in archive]))
        for text in self.says:
            await progress(Message(stream=text))
        if self.failure is not None:
            raise self.failure
        return "sha256:" + "5" * 64

    def cancel(self, build_id: str) -> None:
        self.cancelled.append(build_id)


class NoHistory:
    """Nothing was built before."""

    async def all(self) -> list[Kept]:
        return []


@dataclass
class MemoryBuilding:
    """Is loaded `loaded` times; by the classic API alone something is built in memory."""

    classic: MemoryClassic = field(default_factory=MemoryClassic)
    builds: Any = None
    exporters: Any = None
    history: NoHistory = field(default_factory=NoHistory)
    failure: Exception | None = None
    loaded: int = 0

    async def doors(self) -> Self:
        self.loaded += 1
        if self.failure is not None:
            raise self.failure
        return self


@dataclass
class MemoryBuildCache:
    """Has those records, and says that those are pruned."""

    records: list[Usage] = field(default_factory=list)
    pruned: Pruned = field(default_factory=Pruned)
    wanted: list[Wanted] = field(default_factory=list)

    async def prune_by(self, filters: Filters, wanted: Wanted) -> Pruned:
        self.wanted.append(wanted)
        return self.pruned

    async def usage(self) -> list[Usage]:
        return self.records
