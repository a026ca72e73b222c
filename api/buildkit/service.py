"""BuildKit's API as a whole: the calls that are served, and the sessions in which the client serves."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from api.buildkit.cache import BuildCache, Cache
from api.buildkit.control import Control
from api.buildkit.doors import Builds, Exporters
from api.buildkit.gateway import Gateway
from api.buildkit.jobs import Jobs
from api.buildkit.session import ClientSession
from api.buildkit.sessions import Sessions
from api.buildkit.worker import Worker
from api.connection import Connection
from api.grpc.connection import Http2
from api.grpc.server import Admit, Call, Method, Server

_TRACES: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class BuildKit:
    """Serves builds on connections that HTTP gives away."""

    def __init__(
        self, builds: Builds, exporters: Exporters, cache: BuildCache, worker: Callable[[], Awaitable[Worker]]
    ) -> None:
        self._sessions = Sessions()
        jobs = Jobs()
        control = Control(builds, exporters, Cache(cache), self._sessions, jobs, worker)
        self._server = Server(
            {**control.methods(), **Gateway(jobs, worker).methods(), _TRACES: Method(Empty, _drop)}
        )

    def serve(self, connection: Connection, head: bytes = b"", admit: Admit | None = None) -> Http2:
        """Take a connection over and answer calls on it, behind a head; those that are admitted."""
        transport, early, _ = connection.take()
        accept = partial(self._server.accept, admit=admit)
        return self._begin(Http2(connection, transport, accept), transport, head, early)

    async def join(self, connection: Connection, head: bytes, name: str) -> None:
        """Take a connection over whose client serves, and keep its session until it ends."""
        transport, early, _ = connection.take()
        taken = self._begin(Http2(connection, transport), transport, head, early)
        with self._sessions.joined(name, ClientSession(taken)):
            await taken.closed.wait()

    async def close(self) -> None:
        """End what is under way."""
        await self._server.close()

    def _begin(self, taken: Http2, transport: asyncio.Transport, head: bytes, early: bytes) -> Http2:
        if head:
            transport.write(head)
        transport.set_protocol(taken)
        if not transport.is_reading():
            transport.resume_reading()
        taken.begin(early)
        return taken


async def _drop(call: Call, request: Message) -> Message:
    """Traces of clients: nobody collects them here."""
    del call, request
    return Empty()
