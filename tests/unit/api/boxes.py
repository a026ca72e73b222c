"""Containers in memory, their files, their commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import errdefs
from engine.containers.attach import AttachRequest, Detached
from engine.containers.changes import Change
from engine.containers.commit import CommitRequest
from engine.containers.config import ContainerConfig, EndpointConfig, HostConfig, NetworkingConfig
from engine.containers.container import Container
from engine.containers.exec_process import ExecConfig
from engine.containers.list import ListQuery, select
from engine.containers.state import Action
from engine.logs.reader import LogQuery
from tests.unit.api.samples import ID, IMAGE_ID


class MemoryStream:
    """The container's side of an attachment, played by the test: `outputs` is read, `inputs` collects."""

    def __init__(self, *, detach_on: bytes | None = None) -> None:
        self.outputs: asyncio.Queue[bytes] = asyncio.Queue()
        self.inputs: list[bytes] = []
        self.eof = asyncio.Event()
        self.left = asyncio.Event()
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

    def leave(self) -> None:
        self.left.set()
        self.outputs.put_nowait(b"")

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
    held: asyncio.Event | None = None
    """Set once a process may start, where it is not at once."""
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
        if self.held is not None:
            await self.held.wait()
        if self.failure is not None:
            raise self.failure
        self.stream = self.stream or MemoryStream()
        return None if detach else self.stream

    async def resize(self, exec_id: str, height: int, width: int) -> None:
        self.calls.append(("resize", self.get(exec_id).id, height, width))
