"""An engine in memory, for the shapes and the errors of the API: nothing runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec

import errdefs
from engine.containers.attach import AttachRequest, Detached
from engine.containers.changes import Change
from engine.containers.commit import CommitRequest
from engine.containers.config import ContainerConfig, EndpointConfig, HostConfig, NetworkingConfig
from engine.containers.container import Container
from engine.containers.exec_process import ExecConfig
from engine.containers.list import ListQuery, select
from engine.containers.state import Action
from engine.events.event import Event
from engine.filters import Filters
from engine.images.history import Step
from engine.images.image import Image
from engine.images.listing import Listed
from engine.images.platforms import Platform
from engine.images.remove import Removed
from engine.images.usage import Stored
from engine.logs.reader import LogQuery
from engine.networks.create import CreateRequest, compose
from engine.networks.find import find
from engine.networks.remove import require_removable
from engine.networks.select import select as select_networks
from engine.progress import Message, Progress, ignore
from engine.registry.credentials import Credentials
from network.drivers.driver import NetworkInfo, Pool
from tests.unit.api.registry import MemoryRegistry
from tests.unit.api.samples import CREATED, ID, IMAGE_ID, NETWORK_ID, OTHER, SECOND, image
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


class MemoryStream:
    """The container's side of an attachment, played by the test: `outputs` is read, `inputs` collects."""

    def __init__(self, *, detach_on: bytes | None = None) -> None:
        self.outputs: asyncio.Queue[bytes] = asyncio.Queue()
        self.inputs: list[bytes] = []
        self.eof = asyncio.Event()
        self.closed = asyncio.Event()
        self.taking = asyncio.Event()
        self.taking.set()
        self._detach_on = detach_on

    async def read(self) -> bytes:
        return await self.outputs.get()

    async def write(self, data: bytes) -> None:
        await self.taking.wait()
        self.inputs.append(data)
        if self._detach_on and self._detach_on in b"".join(self.inputs):
            raise Detached

    async def write_eof(self) -> None:
        self.eof.set()

    def close(self) -> None:
        self.closed.set()

    @property
    def received(self) -> bytes:
        return b"".join(self.inputs)


class MemoryWaiting:
    def __init__(self) -> None:
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.cancelled = asyncio.Event()

    async def result(self) -> Any:
        return await self.future

    def cancel(self) -> None:
        self.cancelled.set()


@dataclass
class MemoryContainers:
    """Containers as a dict; what verbs were called is in `calls`, `failure` is raised by the next one."""

    records: dict[str, Container] = field(default_factory=dict)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    failure: Exception | None = None
    stream: MemoryStream | None = None
    waiting: MemoryWaiting | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)  # somebody waits
    log: asyncio.Queue[bytes | Exception | None] = field(default_factory=asyncio.Queue)
    log_closed: asyncio.Event = field(default_factory=asyncio.Event)
    created: list[tuple[str, ContainerConfig, HostConfig, NetworkingConfig | None, str]] = field(
        default_factory=list
    )

    def get(self, reference: str) -> Container:
        name = reference.removeprefix("/")
        for each in self.records.values():
            if name in (each.name, each.id) or (name and each.id.startswith(name)):
                return each
        raise errdefs.NotFound(f"No such container: {reference}")

    def names(self, container: Container) -> Sequence[str]:
        return [f"/{container.name}"]

    def list(self, query: ListQuery) -> list[Container]:
        return select(self.records.values(), query, None, None, frozenset())

    async def size(self, _: Container) -> Any:
        return SimpleNamespace(rw=0, rootfs=2024544)

    async def create(
        self,
        name: str,
        config: ContainerConfig,
        host: HostConfig,
        networking: NetworkingConfig | None,
        *,
        platform: str = "",
        recursive_read_only: bool = True,
    ) -> Any:
        self._note("create", name)
        self.created.append((name, config, host, networking, platform))
        return SimpleNamespace(id=ID, warnings=[])

    def _note(self, *call: Any) -> None:
        if self.failure is not None:
            raise self.failure
        self.calls.append(call)

    async def start(self, reference: str) -> None:
        self._note("start", self.get(reference).id)

    async def stop(self, reference: str, *, signal: str = "", timeout: int | None = None) -> None:
        self._note("stop", self.get(reference).id, signal, timeout)

    async def restart(self, reference: str, *, signal: str = "", timeout: int | None = None) -> None:
        self._note("restart", self.get(reference).id, signal, timeout)

    async def kill(self, reference: str, signal: str = "") -> None:
        self._note("kill", self.get(reference).id, signal)

    async def pause(self, reference: str) -> None:
        self._note("pause", self.get(reference).id)

    async def unpause(self, reference: str) -> None:
        self._note("unpause", self.get(reference).id)

    async def rename(self, reference: str, name: str) -> None:
        self._note("rename", self.get(reference).id, name)

    async def connect_network(self, reference: str, network: str, asked: EndpointConfig | None) -> None:
        self._note("connect", self.get(reference).id, network, asked)

    async def disconnect_network(self, reference: str, network: str, *, force: bool = False) -> None:
        self._note("disconnect", self.get(reference).id, network, force)

    async def remove(
        self, reference: str, *, force: bool = False, volumes: bool = False, link: bool = False
    ) -> None:
        self._note("remove", self.get(reference).id, force, volumes, link)

    async def top(self, reference: str, arguments: str) -> Any:
        self._note("top", self.get(reference).id, arguments)
        return SimpleNamespace(titles=["PID", "CMD"], processes=[["4711", "sh"]])

    async def resize(self, reference: str, height: int, width: int) -> None:
        self._note("resize", self.get(reference).id, height, width)

    async def attach(self, reference: str, request: AttachRequest) -> MemoryStream:
        self._note("attach", self.get(reference).id, request)
        self.get(reference).require(Action.ATTACH)
        self.stream = self.stream or MemoryStream()
        return self.stream

    async def logs(self, reference: str, query: LogQuery) -> AsyncIterator[bytes]:
        self._note("logs", self.get(reference).id, query)
        return self._lines()

    async def _lines(self) -> AsyncIterator[bytes]:
        try:
            while (line := await self.log.get()) is not None:
                if isinstance(line, Exception):
                    raise line
                yield line
        finally:
            self.log_closed.set()

    async def wait(self, reference: str, condition: str) -> MemoryWaiting:
        self._note("wait", self.get(reference).id, condition)
        self.waiting = MemoryWaiting()
        self.asked.set()
        return self.waiting


@dataclass
class MemoryFilesystem:
    """Files of the containers of `containers`."""

    containers: MemoryContainers
    changed: list[Change] = field(default_factory=list)
    committed: list[CommitRequest] = field(default_factory=list)

    async def changes(self, reference: str) -> list[Change]:
        self.containers.get(reference)
        return self.changed

    async def export(self, reference: str) -> AsyncIterator[bytes]:
        self.containers.get(reference)
        yield b"archive"
        if self.containers.failure is not None:
            raise self.containers.failure

    async def commit(self, request: CommitRequest) -> str:
        self.containers.get(request.container)
        self.committed.append(request)
        return IMAGE_ID


@dataclass
class MemoryArchives:
    """Copies from and to `containers`, which have no file."""

    containers: MemoryContainers

    async def stat(self, reference: str, path: str) -> Any:
        self.containers.get(reference)
        raise errdefs.NotFound(f"Could not find the file {path} in container {reference}")

    @asynccontextmanager
    async def get(self, reference: str, path: str, encoding: str) -> AsyncIterator[Any]:
        yield await self.stat(reference, path)

    async def put(self, reference: str, path: str, archive: AsyncIterator[bytes], **options: bool) -> None:
        await self.stat(reference, path)


@dataclass
class MemoryExecs:
    takes: float = 0.0
    records: dict[str, Any] = field(default_factory=dict)
    stream: MemoryStream | None = None
    failure: Exception | None = None
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    async def create(self, reference: str, config: ExecConfig) -> str:
        process = SimpleNamespace(
            id="ec" * 32, container_id=ID, config=config, running=False, exit_code=None, pid=0
        )
        self.calls.append(("create", reference))
        self.records[process.id] = process
        return str(process.id)

    def get(self, exec_id: str) -> Any:
        if exec_id not in self.records:
            raise errdefs.NotFound(f"No such exec instance: {exec_id}")
        return self.records[exec_id]

    def of(self, container_id: str) -> list[str]:
        return [each.id for each in self.records.values() if each.container_id == container_id]

    async def start(
        self, exec_id: str, *, detach: bool, console_size: list[int] | None
    ) -> MemoryStream | None:
        self.calls.append(("start", exec_id, detach, console_size))
        await asyncio.sleep(self.takes)
        if self.failure is not None:
            raise self.failure
        self.stream = self.stream or MemoryStream()
        return None if detach else self.stream

    async def resize(self, exec_id: str, height: int, width: int) -> None:
        self.calls.append(("resize", self.get(exec_id).id, height, width))


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


@dataclass
class MemoryPulls:
    """Pulls nothing; notes what is asked."""

    messages: list[Message] = field(default_factory=list)
    failure: Exception | None = None
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    async def pull(
        self, name: str, tag: str, *, platform: str, credentials: Credentials | None, progress: Progress
    ) -> None:
        self.calls.append((name, tag, platform, credentials))
        for message in self.messages:
            await progress(message)
        if self.failure is not None:
            raise self.failure


@dataclass
class MemoryPushes:
    """Pushes nothing; notes what is asked."""

    messages: list[Message] = field(default_factory=list)
    failure: Exception | None = None
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    async def push(
        self,
        name: str,
        tag: str,
        *,
        platform: Platform | None,
        credentials: Credentials | None,
        progress: Progress,
    ) -> None:
        self.calls.append((name, tag, platform, credentials))
        for message in self.messages:
            await progress(message)
        if self.failure is not None:
            raise self.failure


@dataclass
class MemoryImages:
    records: list[Image] = field(default_factory=lambda: [image()])
    uploaded: bytes = b""
    messages: list[Message] = field(default_factory=list)
    failure: Exception | None = None
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def get(self, reference: str) -> Image:
        for each in self.records:
            if reference in each.references or each.id == reference:
                return each
        raise errdefs.NotFound(f"No such image: {reference}:latest")

    def users(self, _: Image) -> list[str]:
        return [ID, OTHER]

    def list(self, _: Filters, *, all_images: bool = False) -> list[Listed]:
        self.calls.append(("list", all_images))
        return [
            Listed(
                image=each, references=each.references, digests=each.digests, users=[ID, OTHER], shared_size=0
            )
            for each in self.records
        ]

    async def stored(self) -> Stored:
        layers = {layer.chain_id: layer.size for each in self.records for layer in each.layers}
        blobs = {digest: size for each in self.records for digest, size in each.content.items()}
        return Stored(layers=layers, blobs=blobs)

    def history(self, reference: str) -> Sequence[Step]:
        self.get(reference)
        return [Step(created=CREATED // SECOND, created_by="sh", comment="made", size=7)]

    async def load(
        self, archive: AsyncIterator[bytes], *, quiet: bool, progress: Progress, wanted: Sequence[str]
    ) -> None:
        self.calls.append(("load", quiet, *wanted))
        await self._take(archive, progress)

    async def save(self, names: Sequence[str], wanted: Sequence[Platform]) -> AsyncIterator[bytes]:
        self.calls.append(("save", list(names), list(wanted)))
        for name in names:
            self.get(name)
        yield b"archive"
        if self.failure is not None:
            raise self.failure

    def require_name(self, repo: str, tag: str) -> object:
        return None

    async def import_(
        self,
        archive: AsyncIterator[bytes],
        *,
        repo: str,
        tag: str,
        message: str,
        changes: Sequence[str],
        platform: str,
    ) -> str:
        self.calls.append(("import", repo, tag, message, list(changes), platform))
        await self._take(archive, ignore)
        return IMAGE_ID

    async def _take(self, archive: AsyncIterator[bytes], progress: Progress) -> None:
        async for chunk in archive:
            self.uploaded += chunk
        for message in self.messages:
            await progress(message)
        if self.failure is not None:
            raise self.failure

    async def tag(self, reference: str, repo: str, tag: str) -> None:
        self.calls.append(("tag", self.get(reference).id, repo, tag))

    async def remove(self, reference: str, *, force: bool, prune: bool) -> Sequence[Removed]:
        self.calls.append(("remove", self.get(reference).id, force, prune))
        return [Removed(untagged=reference), Removed(deleted=IMAGE_ID)]


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
