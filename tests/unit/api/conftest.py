import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
import uvloop

from api import assemble, listeners
from api.accepting import Acceptor
from api.authz.authorization import Authorization
from api.http_server import HttpServer
from api.server import API
from tests.unit.api.boxes import MemoryStream
from tests.unit.api.memory import MemoryEngine
from tests.unit.api.samples import running

ANY_NUMBER = 1 << 30  # of a descriptor
ON_BOTH_LOOPS = {
    *(
        "test_accepting",
        "test_attach_ws",
        "test_boundary",
        "test_gone_clients",
        "test_hijack",
        "test_listeners",
    ),
    *("test_grpc", "test_server", "test_streams"),
}
VERSION = "29.7.2+wherry.0.1.0"


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The daemon's own loop; where connections, sockets and their ends are tested, asyncio's as well."""
    factories = {"uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop, **factories} if item.path.stem in ON_BOTH_LOOPS else factories


@dataclass
class Served:
    """A server on a unix socket, and the engine behind it."""

    engine: MemoryEngine
    path: str
    server: HttpServer
    session: aiohttp.ClientSession
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Status and JSON body (text where it is none)."""
        async with self.session.request(method, "http://d" + path, **options) as answer:
            if answer.content_type == "application/json":
                body = await answer.read()
                return answer.status, (await answer.json()) if body else None
            return answer.status, await answer.text()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A raw connection, closed at the end of the test."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        self.writers.append(writer)
        return reader, writer

    async def raw(self, request: bytes) -> bytes:
        """Everything that is answered until the server closes."""
        reader, writer = await self.connect()
        writer.write(request)
        answer = await reader.read()
        await self.hang_up(writer)
        return answer

    async def hang_up(self, writer: asyncio.StreamWriter) -> None:
        """Close a raw connection."""
        self.writers.remove(writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """The API over an engine in memory with one running container."""
    engine = MemoryEngine()
    engine.containers.records[running().id] = running()
    roots: Any = SimpleNamespace(
        data_root=Path("/data"), exec_root=Path("/exec"), cgroup_version=1, host_gateway_ips=()
    )
    nobody = Authorization(cast("Any", None), ())
    api = API(assemble.routes(cast("Any", engine), roots), nobody, VERSION)
    server = HttpServer(api)
    path = str(tmp_path / "api.sock")
    (listener,) = listeners.open_all([f"unix://{path}"], "")
    acceptor = Acceptor(server, [listener.socket], ANY_NUMBER)
    session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(path), auto_decompress=False)
    served = Served(engine, path, server, session)
    try:
        yield served
    finally:
        for writer in list(served.writers):
            await served.hang_up(writer)
        await session.close()
        acceptor.close()
        listeners.close_all([listener])
        await server.close(1)


@pytest.fixture
def stream(served: Served) -> MemoryStream:
    """What the next attach gets."""
    served.engine.containers.stream = MemoryStream()
    return served.engine.containers.stream


@pytest.fixture
def open_files() -> Callable[[], int]:
    """How many files this process has open."""
    return lambda: len(os.listdir("/proc/self/fd"))
