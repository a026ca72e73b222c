"""What a plugin saw is what a handler got, whatever was sent: all shapes of requests, to a handler that keeps them."""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import pytest
from aiohttp import web

from api.authz.authorization import Authorization
from api.call import Call
from api.http_server import HttpServer
from api.routing import Route
from api.server import API
from plugins.discovery import Places
from plugins.registry import Plugins
from tests.integration.authz.conftest import PROGRAM
from tests.network.plugins import Plugin

ROUNDS = 300
TYPES = (
    *["application/json"] * 4,
    "Application/JSON;charset=utf-8",
    "text/plain",
    "application/json ;",
    "json",
    "",
    "a/b, c/d",
)
PATHS = (
    *("/v1.45/containers/create", "/containers/create?name=x%2Fy", "/v1.24/containers/%63reate"),
    *("/v1.45/containers//create", "/v1.45/containers/../containers/create", "/v1.45%2Fcontainers/create"),
    *(
        "http://h/v1.45/containers/create",
        "/v1.45/containers/create;x",
        "/v1.45/containers/create#x",
        "/v1.45/auth",
    ),
    *("/v1.45/containers/%2563reate", "/v1.45/containers/create?%zz", "/v1.99/containers/create"),
)
BODIES = (b'{"HostConfig":{"Privileged":true}}', b"{}", b"", b"\xff\x00", b'{"a":"' + b"x" * 70_000 + b'"}')


@dataclass
class Record:
    """A request as its handler had it."""

    number: str
    method: str
    path: str
    types: list[str]
    body: bytes


@dataclass
class Ground:
    """A server whose handler keeps a record, and the plugin that it asks."""

    socket: Path
    plugin: Plugin
    records: list[Record] = field(default_factory=list)

    async def handle(self, call: Call) -> web.StreamResponse:
        """As a route that takes JSON."""
        call.require_json()
        body = await call.body() if call.has_body else b""
        types = call.request.headers.getall("Content-Type", [])
        path = unquote(call.request.raw_path.partition("?")[0])
        number = call.request.headers.get("X-Number", "")
        self.records.append(Record(number, call.request.method, path, types, body))
        return call.answer({"read": len(body)})

    async def ask(self, request: bytes) -> bytes:
        """What is answered until the server closes or has no more to say."""
        reader, writer = await asyncio.open_unix_connection(str(self.socket))
        writer.write(request)
        writer.write_eof()
        try:
            async with asyncio.timeout(20):
                return await reader.read()
        finally:
            writer.close()


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    plugin = Plugin(tmp_path, ("judge",), program=PROGRAM)
    plugins = Plugins(Places(tmp_path, ()))
    made = Ground(tmp_path / "api.sock", plugin)
    routes = [
        Route("POST", "/containers/create", made.handle),
        Route("POST", "/containers/{name}/update", made.handle),
        Route("POST", "/auth", made.handle),
    ]
    server = HttpServer(API(routes, Authorization(plugins, ["judge"]), "test"))
    listener = await asyncio.get_running_loop().create_unix_server(server, str(made.socket))
    yield made
    listener.close()
    await server.close(1)
    await plugins.close()
    plugin.remove()


def request(dice: random.Random, number: int) -> bytes:
    """One of all shapes, some of them no HTTP."""
    body = dice.choice(BODIES)
    lines = [
        f"{dice.choice(['POST'] * 8 + ['post', 'PUT'])} {dice.choice(PATHS)} HTTP/1.1",
        "Host: d",
        f"X-Number: {number}",
    ]
    lines += [
        f"{dice.choice(['Content-Type', 'content-type'])}: {dice.choice(TYPES)}"
        for _ in range(dice.choice([1, 1, 1, 2, 0]))
    ]
    framing = dice.choice(
        ["length", "length", "chunked", "chunked", "zero", "none", "both", "short", "long", "twice"]
    )
    if framing in ("length", "both", "twice"):
        lines.append(f"Content-Length: {len(body)}")
    if framing in ("zero", "twice"):
        lines.append("Content-Length: 0")
    if framing in ("short", "long"):
        lines.append(f"Content-Length: {max(len(body) + (3 if framing == 'long' else -3), 0)}")
    if framing in ("chunked", "both"):
        lines.append(f"Transfer-Encoding: {dice.choice(['chunked', 'Chunked'])}")
        cut = dice.randrange(len(body) + 1)
        body = (
            b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:cut], body[cut:]) if part)
            + b"0\r\n\r\n"
        )
    if dice.random() < 0.2:
        lines.append("Expect: 100-continue")
    if dice.random() < 0.2:
        lines.append("X-Registry-Auth: secret")
    dice.shuffle(fields := lines[1:])
    return "\r\n".join([lines[0], *fields, "", ""]).encode() + body


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_seen_is_what_is_handled(ground: Ground, seed: int) -> None:
    dice = random.Random(seed)
    sent = {str(number): request(dice, number) for number in range(ROUNDS)}
    for each in sent.values():
        await ground.ask(each)
    calls = [call["body"] for call in ground.plugin.calls() if call["method"] == "AuthZPlugin.AuthZReq"]
    told = {seen["RequestHeaders"]["X-Number"]: seen for seen in calls}
    assert len(told) == len(calls)
    assert len(ground.records) > ROUNDS // 20
    for record in ground.records:
        seen, why = told[record.number], sent[record.number]
        path = unquote(seen["RequestUri"].partition("?")[0])
        assert seen["RequestMethod"] == record.method, why
        assert record.path.endswith(path), why
        shown = base64.b64decode(seen.get("RequestBody", ""))
        assert shown == (b"" if path.endswith("/auth") else record.body), why
        assert seen["RequestHeaders"].get("Content-Type", "") == (record.types or [""])[0], why
        assert "secret" not in json.dumps(seen), why


async def test_what_the_handler_gets_is_whole_and_once(ground: Ground) -> None:
    async def one(number: int) -> None:
        body = json.dumps({"number": number, "more": "x" * 200_000}).encode()
        lines = [
            "POST /containers/create HTTP/1.1",
            "Host: d",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        answer = await ground.ask("\r\n".join([*lines, "", ""]).encode() + body)
        assert f'{{"read":{len(body)}}}'.encode() in answer

    await asyncio.gather(*(one(number) for number in range(30)))
    assert sorted(json.loads(record.body)["number"] for record in ground.records) == list(range(30))
