"""A client of BuildKit's API, for what newer buildx does and the one here does not, such as beginning with HTTP/2."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from api.buildkit.outflow import Outflow
from api.buildkit.protos.common_pb2 import BytesMessage
from api.buildkit.protos.control_pb2 import (
    Exporter,
    SolveRequest,
    SolveResponse,
    StatusRequest,
    StatusResponse,
)
from api.buildkit.protos.gateway_pb2 import (
    PingRequest,
    PongResponse,
    Ref,
    Result,
    ReturnRequest,
    ReturnResponse,
)
from api.buildkit.protos.gateway_pb2 import SolveRequest as PlanRequest
from api.buildkit.protos.gateway_pb2 import SolveResponse as PlanResponse
from api.buildkit.protos.session_pb2 import Packet
from api.buildkit.tunnel import Tunnel
from api.grpc import client
from api.grpc.connection import Http2
from api.grpc.server import Call, Method, Server
from api.grpc.status import Code, RpcError

CONTROL = "/moby.buildkit.v1.Control/"
BRIDGE = "/moby.buildkit.v1.frontend.LLBBridge/"


@dataclass
class Client:
    """`http2` is the connection on which it calls, `socket` where others can be opened.

    `upgrades`: sessions have connections of their own; else they are within a call. `asked`: the files of contexts that
    were sent; `shared_key` names the directories.
    """

    http2: Http2
    socket: str
    upgrades: bool = True
    shared_key: str = ""
    asked: list[str] = field(default_factory=list)
    told: list[StatusResponse] = field(default_factory=list)
    planned: list[PlanResponse] = field(default_factory=list)

    async def control(self, method: str, request: Any, kind: Any) -> Any:
        """A call of the Control service."""
        return await client.call(self.http2, CONTROL + method, request, kind)

    async def bridge(self, method: str, build: str, request: Any, kind: Any) -> Any:
        """A call of the LLBBridge service, about a build."""
        metadata = {"buildkit-controlapi-buildid": [build]}
        return await client.call(self.http2, BRIDGE + method, request, kind, metadata)

    async def several(self, method: str, request: Any, kind: Any) -> list[Any]:
        """A call that is answered by a stream."""
        found = []
        async with client.calling(self.http2, CONTROL + method, kind) as call:
            await call.send(request)
            call.finish()
            while (message := await call.receive()) is not None:
                found.append(message)
        return found

    async def probe(self) -> PongResponse:
        """What may be asked: a build that returns nothing."""
        build = secrets.token_hex(8)
        status = asyncio.get_running_loop().create_task(self.status(build))
        solving = asyncio.get_running_loop().create_task(
            self.control("Solve", SolveRequest(Ref=build, Internal=True), SolveResponse)
        )
        pong = await self.bridge("Ping", build, PingRequest(), PongResponse)
        await self.bridge("Return", build, ReturnRequest(result=Result(ref=Ref())), ReturnResponse)
        assert not (await solving).ExporterResponse
        await status
        return cast("PongResponse", pong)

    async def build(
        self, project: Path, exporters: list[Exporter], options: Mapping[str, str] | None = None, **plan: Any
    ) -> tuple[str, dict[str, str]]:
        """Build a directory as buildx does; the build's reference, and what the exports told."""
        build = secrets.token_hex(8)
        loop = asyncio.get_running_loop()
        async with self.session({"context": project, "dockerfile": project}) as session:
            status = loop.create_task(self.status(build))
            request = SolveRequest(Ref=build, Session=session, Exporters=exporters)
            solving = loop.create_task(self.control("Solve", request, SolveResponse))
            try:
                await self.bridge("Ping", build, PingRequest(), PongResponse)
                asked = PlanRequest(
                    Frontend="dockerfile.v0", FrontendOpt=options or {}, allowResultReturn=True, **plan
                )
                planned = await self.bridge("Solve", build, asked, PlanResponse)
                self.planned.append(planned)
                returned = ReturnRequest(result=planned.result)
                await self.bridge("Return", build, returned, ReturnResponse)
                answer = await solving
            finally:
                solving.cancel()
                await asyncio.gather(solving, return_exceptions=True)
                await status
        return build, dict(answer.ExporterResponse)

    async def status(self, build: str) -> None:
        """Collect what a build tells."""
        self.told += await self.several("Status", StatusRequest(Ref=build), StatusResponse)

    @contextlib.asynccontextmanager
    async def session(self, places: Mapping[str, Path]) -> AsyncIterator[str]:
        """Serve directories by their names; the session's id."""
        name = secrets.token_hex(8)
        server = Server(
            {
                "/moby.filesync.v1.FileSync/DiffCopy": Method(
                    Packet, Files(places, self.asked).send, streams=True
                )
            }
        )
        async with self._upgraded(name, server) if self.upgrades else self._tunnelled(name, server):
            yield name
        await server.close()

    @contextlib.asynccontextmanager
    async def _upgraded(self, name: str, server: Server) -> AsyncIterator[None]:
        header = f"X-Docker-Expose-Session-Uuid: {name}\r\nX-Docker-Expose-Session-Sharedkey: {self.shared_key}\r\n"
        transport, early = await upgraded(self.socket, "/session", header)
        taken = Http2(transport, server.accept)
        transport.set_protocol(taken)
        taken.begin(early)
        try:
            yield
        finally:
            taken.end()
            await taken.closed.wait()

    @contextlib.asynccontextmanager
    async def _tunnelled(self, name: str, server: Server) -> AsyncIterator[None]:
        metadata = {
            "x-docker-expose-session-uuid": [name],
            "x-docker-expose-session-sharedkey": [self.shared_key],
        }
        async with client.calling(self.http2, CONTROL + "Session", BytesMessage, metadata) as call:
            tunnel = Tunnel(cast("Call", SimpleNamespace(messages=call, send=call.send)))
            taken = Http2(tunnel, server.accept)
            taken.begin(b"")
            running = asyncio.get_running_loop().create_task(tunnel.run(taken))
            try:
                yield
            finally:
                taken.end()
                await running


@dataclass
class Files:
    """FileSync, as clients serve it."""

    places: Mapping[str, Path]
    asked: list[str] = field(default_factory=list)

    async def send(self, call: Call, request: Packet) -> None:
        place = self.places.get(call.metadata["dir-name"][0])
        if place is None:
            raise RpcError(Code.NOT_FOUND, "no access allowed to dir")
        flow, names = Outflow(place), list[str]()
        try:
            while entries := flow.entries():
                names += [os.fsdecode(entry.stat.path) for entry in entries]
                for entry in entries:
                    await call.send(entry)
            while (packet := await call.messages.receive()) is not None:
                if packet.type == Packet.PACKET_FIN:
                    await call.send(packet)
                    return
                if call.metadata["dir-name"][0] == "context" and not call.metadata.get("followpaths"):
                    self.asked.append(names[packet.ID])
                for part in flow.content(packet.ID):
                    await call.send(part)
        finally:
            flow.close()


async def upgraded(socket: str, path: str, headers: str = "") -> tuple[asyncio.Transport, bytes]:
    """A connection after its upgrade, as Docker's clients ask for it: with an empty Host."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_unix_connection(lambda: asyncio.StreamReaderProtocol(reader), socket)
    fields = f"Host: \r\nContent-Length: 0\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n{headers}"
    head = f"POST {path} HTTP/1.1\r\n{fields}\r\n"
    transport.write(head.encode())
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer == b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    transport.pause_reading()
    early = bytes(reader._buffer)  # type: ignore[attr-defined]
    transport.resume_reading()
    return transport, early


@contextlib.asynccontextmanager
async def connected(socket: str, *, upgrade: bool) -> AsyncIterator[Client]:
    """A client that asks for an upgrade of /grpc, or begins with HTTP/2."""
    loop = asyncio.get_running_loop()
    early = b""
    if upgrade:
        transport, early = await upgraded(socket, "/grpc")
    else:
        transport, _ = await loop.create_unix_connection(asyncio.Protocol, socket)
    taken = Http2(transport)
    transport.set_protocol(taken)
    taken.begin(early)
    try:
        yield Client(taken, socket, upgrade)
    finally:
        taken.end()
        await taken.closed.wait()
