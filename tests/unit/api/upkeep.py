"""What an engine in memory has beside its containers and images: statistics, updates, prunes."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.build_prune import Pruned
from engine.containers import prune as containers
from engine.containers.config import HostConfig
from engine.containers.stats import Sample, Watch
from engine.filters import Filters
from engine.images import prune as images


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
class MemoryBuildPrune:
    """Says what it is told to say."""

    pruned: Pruned = field(default_factory=Pruned)

    async def prune(self, filters: Filters) -> Pruned:
        return self.pruned
