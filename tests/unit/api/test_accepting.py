"""More clients than there are descriptors for them: those that idle go first, and nobody else."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hpack import Encoder

from api import http_server, listeners
from api.accepting import Acceptor
from api.buildkit.service import BuildKit
from api.connection import Connection
from api.http_server import HttpServer
from api.preface import PREFACE

ROOM = 20
PING = b"GET /now HTTP/1.1\r\nHost: d\r\n\r\n"
WAIT = b"GET /wait HTTP/1.1\r\nHost: d\r\n\r\n"
SETTINGS = bytes.fromhex("000000 04 00 00000000")
SPOKEN = PREFACE + SETTINGS
GOAWAY = bytes.fromhex("000008 07 00 00000000")


def _call() -> bytes:
    """The frames of a call that never ends its request: it lasts."""
    named: dict[bytes | str, bytes | str] = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/moby.buildkit.v1.Control/Session",
    }
    headers = Encoder().encode(
        {**named, "content-type": "application/grpc", "x-docker-expose-session-uuid": "x"}
    )
    return len(headers).to_bytes(3) + bytes.fromhex("01 04 00000001") + headers


CALL = _call()


class Clients:
    """Raw connections to a server that has room for ROOM or so."""

    def __init__(self, path: str, server: HttpServer) -> None:
        self.server = server
        self.finish = asyncio.Event()
        self._path = path
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self, request: bytes = b"") -> asyncio.StreamReader:
        reader, writer = await asyncio.open_unix_connection(self._path)
        self._writers.append(writer)
        writer.write(request)
        return reader

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)


@pytest.fixture
async def clients(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Clients]:
    """With the parameter True all descriptors are taken by others."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        client = request.protocol
        assert isinstance(client, Connection)
        client.begin()
        if request.path == "/wait":
            await found.finish.wait()
        client.finish()
        return web.Response(body=b"here")

    server = HttpServer(answer)
    path = str(tmp_path / "sock")
    (listener,) = listeners.open_all([f"unix://{path}"], "")
    found = Clients(path, server)
    taken = set(map(int, os.listdir("/proc/self/fd")))
    free = [number for number in range(10 * ROOM + len(taken)) if number not in taken]
    # Both ends of a connection are in this process.
    highest = 0 if getattr(request, "param", False) else free[2 * ROOM]
    acceptor = Acceptor(server, [listener.socket], highest)
    try:
        yield found
    finally:
        found.finish.set()
        await found.close()
        acceptor.close()
        listeners.close_all([listener])
        await server.close(1)


async def test_the_longest_idle_goes_for_a_new_one(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "FRESH", 0.0)
    busy = await clients.connect(WAIT)
    idle = [await clients.connect() for _ in range(3 * ROOM)]
    last = await clients.connect(PING)
    assert (await last.readuntil(b"here")).startswith(b"HTTP/1.1 200")
    assert clients.server.connected < 2 * ROOM
    assert await idle[0].read() == b""
    assert not idle[-1].at_eof()
    clients.finish.set()
    assert (await busy.readuntil(b"here")).startswith(b"HTTP/1.1 200"), "who waits for an answer gets it"


async def test_idle_clients_of_http2_go_as_well(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """But not those with a call under way."""
    monkeypatch.setattr(http_server, "FRESH", 0.0)
    nothing: Any = None
    clients.server.http2 = BuildKit(nothing, nothing, nothing, nothing, nothing).serve
    idle = await clients.connect(SPOKEN)
    await idle.readexactly(9)
    busy = await clients.connect(SPOKEN + CALL)
    await busy.readexactly(9)
    rest = [await clients.connect(PING) for _ in range(3 * ROOM)]
    assert (await rest[-1].readuntil(b"here")).startswith(b"HTTP/1.1 200")
    assert GOAWAY in await idle.read()
    assert not busy.at_eof()
    assert clients.server.connected < 2 * ROOM


@pytest.mark.parametrize("clients", [True], indirect=True)
async def test_some_are_let_in_whoever_has_the_descriptors(clients: Clients) -> None:
    """Containers that run have some, too: who could end one must not be refused for that."""
    waiting = [await clients.connect(WAIT) for _ in range(2)]
    last = await clients.connect(PING)
    assert (await last.readuntil(b"here")).startswith(b"HTTP/1.1 200")
    waiting += [await clients.connect(WAIT) for _ in range(ROOM)]
    assert (await waiting[-1].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 503")


async def test_where_nobody_is_idle_the_new_one_is_told(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = [await clients.connect(WAIT) for _ in range(3 * ROOM)]
    last = await clients.connect(PING)
    head, _, body = (await last.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable")
    assert "too many connections" in json.loads(body)["message"]
    clients.finish.set()
    answers = [await each.readuntil(b"\r\n\r\n") for each in waiting]
    served = sum(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    assert ROOM // 2 < served < 3 * ROOM
    monkeypatch.setattr(http_server, "FRESH", 0.0)
    again = await clients.connect(PING)
    assert (await again.readuntil(b"here")).startswith(b"HTTP/1.1 200")
