"""gRPC as the daemon serves it, on a unix socket: methods that tests need, a client of our own, and raw frames."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import hpack
from hyperframe.frame import Frame, GoAwayFrame, HeadersFrame, SettingsFrame

import errdefs
from api.authz.authorization import Authorization
from api.buildkit.protos.common_pb2 import BytesMessage
from api.connection import Connection
from api.grpc.connection import Http2
from api.grpc.server import Admit, Call, Method, Server
from api.http_server import HttpServer
from api.preface import PREFACE
from api.server import API

F = TypeVar("F", bound=Frame)
HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "localhost"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]


@dataclass
class Methods:
    """What is served, and what became of it."""

    begun: int = 0
    cancelled: int = 0
    sent: int = 0
    failure: Exception = field(default_factory=lambda: errdefs.NotFound("no such thing"))

    def table(self) -> dict[str, Method]:
        return {
            "/t/Echo": Method(BytesMessage, self.echo),
            "/t/Stream": Method(BytesMessage, self.stream),
            "/t/Fail": Method(BytesMessage, self.fail),
            "/t/Wait": Method(BytesMessage, self.wait),
            "/t/Ignore": Method(BytesMessage, self.wait, streams=True),
            "/t/Count": Method(BytesMessage, self.count, streams=True),
        }

    async def echo(self, call: Call, request: BytesMessage) -> BytesMessage:
        self.begun += 1
        return request

    async def stream(self, call: Call, request: BytesMessage) -> None:
        """Without end."""
        while True:
            await call.send(BytesMessage(data=bytes(64 << 10)))
            self.sent += 1

    async def fail(self, call: Call, request: BytesMessage) -> BytesMessage:
        raise self.failure

    async def wait(self, call: Call, request: BytesMessage) -> BytesMessage:
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled += 1
        return request

    async def count(self, call: Call, request: BytesMessage) -> BytesMessage:
        """How many messages the client sends."""
        number = 0
        while await call.messages.receive() is not None:
            number += 1
        return BytesMessage(data=str(number).encode())


@dataclass
class Ground:
    """A server on a socket."""

    path: str
    methods: Methods
    server: HttpServer
    calls: Server

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Http2]:
        """The calling end of a connection that begins with HTTP/2."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_unix_connection(asyncio.Protocol, self.path)
        taken = Http2(transport)
        transport.set_protocol(taken)
        taken.begin(b"")
        try:
            yield taken
        finally:
            taken.end()
            await taken.closed.wait()

    @contextlib.asynccontextmanager
    async def raw(self) -> AsyncIterator["Raw"]:
        """A connection for frames of a test's own making."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        raw = Raw(reader, writer)
        writer.write(PREFACE + SettingsFrame(0).serialize())
        try:
            yield raw
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@dataclass
class Raw:
    """Frames, as they are."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    encoder: hpack.Encoder = field(default_factory=hpack.Encoder)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1, 2))

    def headers(self, *flags: str, path: str = "/t/Echo") -> bytes:
        """The head of a call on a new stream."""
        frame = HeadersFrame(next(self.numbers), flags=flags)
        frame.data = self.encoder.encode([(":path", path), *HEADERS])
        return frame.serialize()

    async def send(self, data: bytes) -> bool:
        """Whether it could be sent."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError:
            return False
        return True

    async def next(self, kind: type[F]) -> F:
        """The next frame of a kind that comes; others are passed over."""
        async with asyncio.timeout(20):
            while True:
                frame, length = Frame.parse_frame_header(memoryview(await self.reader.readexactly(9)))
                frame.parse_body(memoryview(await self.reader.readexactly(length)))
                if isinstance(frame, kind):
                    return frame

    async def last_word(self) -> int | None:
        """With what code the server ended the connection; None if that was lost in what it did not read any more."""
        data = bytearray()
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(20):
                while part := await self.reader.read(1 << 16):
                    data += part
        code = None
        while len(data) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(bytes(data[:9])))
            if isinstance(frame, GoAwayFrame) and len(data) >= 9 + length:
                frame.parse_body(memoryview(bytes(data[9 : 9 + length])))
                code = frame.error_code
            del data[: 9 + length]
        return code


@contextlib.asynccontextmanager
async def grounded(directory: Path, admit: Admit | None = None) -> AsyncIterator[Ground]:
    """Serve."""
    methods = Methods()
    calls = Server(methods.table())
    nobody = Authorization(cast("Any", None), ())
    server = HttpServer(API([], nobody, "test"))

    def serve(connection: Connection) -> None:
        transport, early, _ = connection.take()
        taken = Http2(transport, partial(calls.accept, admit=admit), connection.connection_lost)
        connection.server.streams.add(taken)
        transport.set_protocol(taken)
        taken.begin(early)

    server.http2 = serve
    path = str(directory / "s")
    listener = await asyncio.get_running_loop().create_unix_server(server, path)
    try:
        yield Ground(path, methods, server, calls)
    finally:
        listener.close()
        await server.close(1)
        await calls.close()
