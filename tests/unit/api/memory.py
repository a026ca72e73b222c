"""An engine in memory, for the shapes and the errors of the API: nothing runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.events.event import Event
from engine.filters import Filters
from engine.networks.create import CreateRequest, compose
from engine.networks.find import find
from engine.networks.remove import require_removable
from engine.networks.select import select as select_networks
from network.drivers.driver import NetworkInfo, Pool
from tests.unit.api.boxes import MemoryArchives, MemoryContainers, MemoryExecs, MemoryFilesystem
from tests.unit.api.pictures import MemoryImages, MemoryPulls, MemoryPushes
from tests.unit.api.registry import MemoryRegistry
from tests.unit.api.samples import NETWORK_ID
from tests.unit.api.shelves import MemoryVolumePrune, MemoryVolumes
from tests.unit.api.upkeep import (
    MemoryBuildCache,
    MemoryBuilding,
    MemoryContainerPrune,
    MemoryImagePrune,
    MemoryNetworkPrune,
    MemoryStats,
    MemoryUpdates,
)


@dataclass
class MemoryEvents:
    stored: list[Event] = field(default_factory=list)
    live: asyncio.Queue[Event | None] = field(default_factory=asyncio.Queue)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    async def subscribe(
        self, filters: Filters, since_ns: int | None = None, until_ns: int | None = None
    ) -> AsyncIterator[Event]:
        self.asked.append((filters.keys(), since_ns, until_ns))
        try:
            for event in self.stored:
                yield event
            if until_ns is not None and until_ns < time.time_ns():
                return
            while (told := await self.live.get()) is not None:
                yield told
        finally:
            self.closed.set()


class MemoryDisk:
    async def logs(self, _: str) -> int:
        return 0

    async def own(self) -> int:
        return 1048576


class MemorySystem:
    async def info(self) -> msgspec.Struct:
        return msgspec.convert(
            {
                "ID": "x",
                "Containers": 1,
                "Runtimes": {"runc": {"path": "runc", "status": {"a": "b"}}},
                "RuncCommit": {"ID": "abc"},
                "RegistryConfig": {"Mirrors": []},
                "FirewallBackend": {"Driver": "nftables"},
                "OSType": "linux",
                "NCPU": 2,
                "ServerVersion": "29",
                "Swarm": {"LocalNodeState": "inactive"},
                "Plugins": {},
            },
            _AnyInfo,
        )

    async def version(self) -> msgspec.Struct:
        return msgspec.convert(
            {"Version": "29", "ApiVersion": "1.55", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"},
            _AnyInfo,
        )


_FACTS = """ID Containers Runtimes RuncCommit RegistryConfig FirewallBackend OSType NCPU ServerVersion Swarm Plugins
Version ApiVersion MinAPIVersion Os Arch"""


_AnyInfo = msgspec.defstruct("_AnyInfo", [(name, Any, msgspec.UNSET) for name in _FACTS.split()])


class MemoryNetworks:
    """The predefined networks, and what is made; what was asked for is in `asked`."""

    def __init__(self) -> None:
        self.records: list[NetworkInfo] = []
        self.asked: list[CreateRequest] = []
        self.forget()

    def forget(self) -> None:
        """Be as new."""
        created = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
        self.asked.clear()
        self.records[:] = [
            NetworkInfo(
                name="bridge",
                id=NETWORK_ID,
                driver="bridge",
                created=created,
                pools=(Pool(subnet="172.17.0.0/16", gateway="172.17.0.1"),),
                bridge="wherry0",
            ),
            NetworkInfo(name="host", id="40" * 32, driver="host", created=created),
            NetworkInfo(name="none", id="4f" * 32, driver="null", created=created),
        ]

    def all(self) -> list[NetworkInfo]:
        return self.records

    def list(self, filters: Filters) -> list[NetworkInfo]:
        return select_networks(self.records, filters, set())

    async def create(self, request: CreateRequest) -> NetworkInfo:
        self.asked.append(request)
        self.records.append(compose(request, self.records))
        return self.records[-1]

    async def remove(self, reference: str) -> None:
        network = find(self.records, reference)
        require_removable(network, self.records, ())
        self.records.remove(network)


@dataclass
class MemoryEngine:
    containers: MemoryContainers = field(default_factory=MemoryContainers)
    execs: MemoryExecs = field(default_factory=MemoryExecs)
    images: MemoryImages = field(default_factory=MemoryImages)
    pulls: MemoryPulls = field(default_factory=MemoryPulls)
    pushes: MemoryPushes = field(default_factory=MemoryPushes)
    events: MemoryEvents = field(default_factory=MemoryEvents)
    system: MemorySystem = field(default_factory=MemorySystem)
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    networks: MemoryNetworks = field(default_factory=MemoryNetworks)
    stats: MemoryStats = field(default_factory=MemoryStats)
    updates: MemoryUpdates = field(default_factory=MemoryUpdates)
    container_prune: MemoryContainerPrune = field(default_factory=MemoryContainerPrune)
    image_prune: MemoryImagePrune = field(default_factory=MemoryImagePrune)
    network_prune: MemoryNetworkPrune = field(default_factory=MemoryNetworkPrune)
    build_cache: MemoryBuildCache = field(default_factory=MemoryBuildCache)
    volumes: MemoryVolumes = field(default_factory=MemoryVolumes)
    volume_prune: MemoryVolumePrune = field(default_factory=MemoryVolumePrune)
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    building: MemoryBuilding = field(default_factory=MemoryBuilding)

    def __post_init__(self) -> None:
        self.filesystem = MemoryFilesystem(self.containers)
        self.archives = MemoryArchives(self.containers)
