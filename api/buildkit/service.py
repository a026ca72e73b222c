"""BuildKit's API as a whole: the calls that are served, and the sessions in which the client serves."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

import errdefs
from api.buildkit.cache import Cache
from api.buildkit.control import Control
from api.buildkit.doors import BuildCache, Builds, Exporters
from api.buildkit.gateway import Gateway
from api.buildkit.history import History
from api.buildkit.jobs import Jobs
from api.buildkit.protos.common_pb2 import BytesMessage
from api.buildkit.session import ClientSession
from api.buildkit.sessions import Sessions
from api.buildkit.tunnel import Tunnel
from api.buildkit.worker import Worker
from api.connection import Connection
from api.grpc.connection import Http2
from api.grpc.server import Admit, Call, Method, Server
from api.grpc.stream import Stream

_SESSION: Final = "/moby.buildkit.v1.Control/Session"
_SESSION_ID: Final = "x-docker-expose-session-uuid"
_SHARED_KEY: Final = "x-docker-expose-session-sharedkey"
_TRACES: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class BuildKit:
    """Serves builds on connections that HTTP gives away."""

    def __init__(
        self,
        builds: Builds,
        exporters: Exporters,
        cache: BuildCache,
        history: History,
        worker: Callable[[], Awaitable[Worker]],
    ) -> None:
        self._sessions = Sessions()
        jobs = Jobs()
        control = Control(builds, exporters, Cache(cache), self._sessions, jobs, history, worker)
        self._server = Server(
            {
                **control.methods(),
                **Gateway(jobs, worker).methods(),
                _SESSION: Method(BytesMessage, self._session, streams=True),
                _TRACES: Method(Empty, _drop),
            }
        )

    def serve(self, connection: Connection, head: bytes = b"", admit: Admit | None = None) -> Http2:
        """Take a connection over and answer calls on it, behind a head; those that are admitted."""
        return _take(connection, head, partial(self._server.accept, admit=admit))

    async def join(self, connection: Connection, head: bytes, name: str, shared_key: str) -> None:
        """Take a connection over whose client serves, and keep its session until it ends."""
        taken = _take(connection, head)
        with self._sessions.joined(name, ClientSession(taken, shared_key)):
            await taken.closed.wait()

    async def close(self) -> None:
        """End what is under way."""
        await self._server.close()

    async def _session(self, call: Call, request: Message) -> None:
        """A client's session, within a call: of clients that begin with HTTP/2 and upgrade nothing."""
        del request
        name = call.metadata.get(_SESSION_ID, [""])[0]
        if not name:
            raise errdefs.InvalidArgument(f"a session needs an id ({_SESSION_ID})")
        call.begin()
        tunnel = Tunnel(call)
        taken = Http2(tunnel)
        taken.begin(b"")
        shared_key = call.metadata.get(_SHARED_KEY, [""])[0]
        with self._sessions.joined(name, ClientSession(taken, shared_key)):
            await tunnel.run(taken)


def _take(connection: Connection, head: bytes, accept: Callable[[Stream], None] | None = None) -> Http2:
    """Make a connection of HTTP one of HTTP/2, which ends with the server."""
    transport, early, over = connection.take()
    if over or connection.server.closed:
        transport.close()
        raise ConnectionResetError("nobody is to speak on this connection any more")
    streams = connection.server.streams

    def lost(error: BaseException | None) -> None:
        streams.discard(taken)
        connection.connection_lost(error)

    taken = Http2(transport, accept, lost, None if accept is None else connection.server.idle)
    streams.add(taken)
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
