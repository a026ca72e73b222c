"""The volumes of an engine in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import errdefs
from engine.filters import Filters
from engine.volumes.listing import Listing, Shown
from engine.volumes.prune import Pruned, Usage
from volumes.driver import Seen
from volumes.volume import Volume


@dataclass
class MemoryVolumes:
    """Keeps what it is given, and notes what is asked."""

    records: dict[str, Volume] = field(default_factory=dict)
    asked: list[tuple[object, ...]] = field(default_factory=list)

    async def look(self, name: str) -> Shown:
        if name not in self.records:
            raise errdefs.NotFound(f"get {name}: no such volume")
        return self.shown(self.records[name])

    def shown(self, volume: Volume) -> Shown:
        seen = Seen(name=volume.name, mountpoint=f"/data/volumes/{volume.name}/_data")
        return Shown(volume=volume, scope="local", seen=seen)

    async def create(
        self,
        name: str,
        driver: str = "",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume:
        self.asked.append(("create", name, driver, options, labels))
        volume = Volume(
            name=name or "given", created=1_700_000_000_123_456_789, labels=dict(labels or {}) or None
        )
        return self.records.setdefault(volume.name, volume)

    async def remove(self, name: str, *, force: bool = False) -> None:
        self.asked.append(("remove", name, force))
        if self.records.pop(name, None) is None and not force:
            raise errdefs.NotFound(f"get {name}: no such volume")

    async def list(self, filters: Filters) -> Listing:
        self.asked.append(("list", filters.keys()))
        return Listing([self.shown(self.records[name]) for name in sorted(self.records)], ())


@dataclass
class MemoryVolumePrune:
    """Says what it is told to say."""

    pruned: Pruned = field(default_factory=Pruned)
    used: list[Usage] = field(default_factory=list)
    asked: list[tuple[list[str], bool]] = field(default_factory=list)

    async def usage(self) -> list[Usage]:
        return self.used

    async def prune(self, filters: Filters, *, named: bool = False) -> Pruned:
        self.asked.append((filters.keys(), named))
        return self.pruned
