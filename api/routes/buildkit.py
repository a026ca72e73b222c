"""BuildKit's API on the daemon's socket: upgrades of /grpc and /session, for which the connection is given away."""

from typing import Protocol

import errdefs
from api import hijack, web
from api.call import Call
from api.connection import Connection, Taken
from api.routing import Route

_PROTOCOL = "h2c"
_HEAD = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


class BuildKit(Protocol):
    """What these routes need."""

    async def serve(self, connection: Connection, head: bytes, /) -> None:
        """Answer calls on a connection, until it ends."""

    async def join(self, connection: Connection, head: bytes, name: str, shared_key: str, /) -> None:
        """Call a client on its connection, until it ends."""


class BuildKitRoutes:
    """Routes that become HTTP/2."""

    def __init__(self, buildkit: BuildKit) -> None:
        self._buildkit = buildkit

    def routes(self) -> list[Route]:
        """The table."""
        return [
            Route("POST", "/grpc", self.grpc, summary="served: BuildKit's API"),
            Route("POST", "/session", self.session, summary="served: sessions of BuildKit's clients"),
        ]

    async def grpc(self, call: Call) -> web.StreamResponse:
        """Builds over gRPC: the client calls."""
        connection = await _upgradable(call)
        await self._buildkit.serve(connection, _HEAD)
        return Taken()

    async def session(self, call: Call) -> web.StreamResponse:
        """A client's session: the daemon calls."""
        name = call.request.headers.get("X-Docker-Expose-Session-Uuid", "")
        if not name:
            raise errdefs.InvalidArgument("a session needs an id (X-Docker-Expose-Session-Uuid)")
        shared_key = call.request.headers.get("X-Docker-Expose-Session-Sharedkey", "")
        connection = await _upgradable(call)
        await self._buildkit.join(connection, _HEAD, name, shared_key)
        return Taken()


async def _upgradable(call: Call) -> Connection:
    """The connection, if it may become HTTP/2. InvalidArgument in BuildKit's words."""
    asked = call.request.headers.get("Upgrade", "")
    if not asked:
        raise errdefs.InvalidArgument("no upgrade proto in request")
    if asked != _PROTOCOL:
        raise errdefs.InvalidArgument(f"protocol {asked} not supported")
    await call.body()
    return hijack.hold(call.request)
