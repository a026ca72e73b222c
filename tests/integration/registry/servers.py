"""Servers for the tests: one that gives tokens, and one between client and registry that does harm."""

import asyncio
import base64
import fcntl
import io
import json
import socket
import ssl
import struct
import subprocess
import sys
import termios
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

from tests.registries import PASSWORD, USER, Certificates

SERVICE, ISSUER = "registry of tests", "issuer of tests"
IDENTITY = "identity-token"

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve on loopback; gives the host and port."""
    server = web.Server(handler, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@dataclass
class Seen:
    """A request that came in."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: str = ""

    @classmethod
    async def of(cls, request: web.BaseRequest) -> "Seen":
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = (await request.content.read()).decode(errors="replace")
        return cls(request.method, request.path, list(request.query.items()), headers, body)


@dataclass
class TokenServer:
    """Gives tokens that Debian's registry takes: to the user, by the identity token, or to anybody who only reads."""

    certificates: Certificates
    lifetime: int = 300
    refuse: web.Response | None = None
    seen: list[Seen] = field(default_factory=list)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        seen = await Seen.of(request)
        self.seen.append(seen)
        if self.refuse is not None:
            return web.Response(
                status=self.refuse.status, body=self.refuse.body, headers={"Content-Type": "application/json"}
            )
        if seen.method == "POST":
            form = dict(parse_qsl(seen.body))
            known = form.get("refresh_token") == IDENTITY
            scopes = form.get("scope", "").split()
        else:
            given = seen.headers.get("authorization", "")
            expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            known = given in ("", expected)
            scopes = [value for name, value in seen.query if name == "scope"]
        if not known:
            body = {"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]}
            return web.json_response(body, status=401)
        answer: dict[str, object] = {"token": self.sign(scopes), "expires_in": self.lifetime}
        if ("offline_token", "true") in seen.query and "authorization" in seen.headers:
            answer["refresh_token"] = IDENTITY
        return web.json_response(answer)

    def sign(self, scopes: list[str]) -> str:
        """A token for scopes, signed by the authority."""
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        lines = self.certificates.authority.read_text().splitlines()
        header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(lines[1:-1])]}
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": USER,
            "aud": SERVICE,
            "jti": str(time.time_ns()),
            "access": access,
            "exp": now + 300,
            "nbf": now - 10,
            "iat": now,
        }
        parts = [_part(json.dumps(one).encode()) for one in (header, claims)]
        signed = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self.certificates.directory / "ca.key")],
            input=".".join(parts).encode(),
            capture_output=True,
            check=True,
            timeout=30,
        )
        return ".".join([*parts, _part(signed.stdout)])


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Harm:
    """What is done to the answers of requests whose path has `to` in it, the first `times` times.

    `head` answers instead of the registry; `cut` ends the body after as many bytes, by RST if `reset`; `pause`
    is seconds between bytes; `change` changes the body, `spoil` the request's; `without` are request headers that are
    held back.
    """

    to: str
    times: int = 1 << 30
    head: Callable[[web.BaseRequest], web.Response] | None = None
    cut: int | None = None
    reset: bool = False
    pause: float = 0.0
    change: Callable[[bytes], bytes] | None = None
    spoil: Callable[[bytes], bytes] | None = None
    without: tuple[str, ...] = ()


@dataclass
class Proxy:
    """Stands before a registry (`upstream` is "http://host:port") and does harm; counts what is sent to it."""

    upstream: str
    harms: list[Harm] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    sent: int = 0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        given = await request.content.read()
        self.sent += len(given)
        self.seen.append(await Seen.of(request))
        harm = next((one for one in self.harms if one.to in request.path and one.times > 0), Harm(""))
        harm.times -= 1
        if harm.head is not None:
            return harm.head(request)
        if harm.reset and harm.cut is None:
            return self._reset(request)
        status, headers, body = await self._ask(request, given, harm)
        if harm.change is not None:
            body = harm.change(body)
        if request.method != "HEAD":
            headers["Content-Length"] = str(len(body))
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        if harm.pause:
            await self._dribble(response, body, harm.pause)
        await response.write(body if harm.cut is None else body[: harm.cut])
        if harm.cut is not None:
            await self._arrive(request)
            return self._reset(request) if harm.reset else self._close(request)
        return response

    async def _ask(
        self, request: web.BaseRequest, given: bytes, harm: Harm
    ) -> tuple[int, dict[str, str], bytes]:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in ("host", *harm.without)
        }
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method,
                self.upstream + request.path_qs,
                headers=headers,
                data=io.BytesIO(given if harm.spoil is None else harm.spoil(given)),
                allow_redirects=False,
            ) as answer,
        ):
            kept = {
                name: value
                for name, value in answer.headers.items()
                if name.lower() not in ("transfer-encoding", "connection", "date")
            }
            if kept.get("Location", "").startswith(self.upstream):
                kept["Location"] = f"http://{request.host}{kept['Location'].removeprefix(self.upstream)}"
            return answer.status, kept, await answer.read()

    async def _dribble(self, response: web.StreamResponse, body: bytes, pause: float) -> None:
        for byte in body:
            await response.write(bytes([byte]))
            await asyncio.sleep(pause)

    async def _arrive(self, request: web.BaseRequest) -> None:
        """Wait until the client's kernel has what was written, or the client is gone."""
        while request.transport is not None and not request.transport.is_closing():
            one = request.transport.get_extra_info("socket")
            on_its_way = int.from_bytes(fcntl.ioctl(one.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
            if not on_its_way and not request.transport.get_write_buffer_size():
                return
            await asyncio.sleep(0.01)

    def _reset(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        one = transport.get_extra_info("socket")
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return self._close(request)

    def _close(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()
