"""The engine itself: ping, version, info."""

from typing import Any, Protocol

import msgspec

from api import web
from api.call import Call
from api.routing import Route
from api.schema import system as schema

_PING_HEADERS = {
    "Builder-Version": "2",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Content-Type": "text/plain; charset=utf-8",
    "Pragma": "no-cache",
    "Swarm": "inactive",
}


class System(Protocol):
    """What these routes need of the engine."""

    async def info(self) -> msgspec.Struct:
        """How it is set up and how it does, by the names of the API."""

    async def version(self) -> msgspec.Struct:
        """Which engine it is, by the names of the API."""


class SystemRoutes:
    """Routes of the engine itself."""

    def __init__(self, system: System) -> None:
        self._system = system

    def routes(self) -> list[Route]:
        """The table."""
        return [
            Route("HEAD", "/_ping", self.ping),
            Route("GET", "/_ping", self.ping),
            Route("GET", "/version", self.version),
            Route("GET", "/info", self.info),
        ]

    async def ping(self, call: Call) -> web.StreamResponse:
        """Whether it answers, and what it speaks."""
        if call.request.method == "HEAD":
            return web.Response(headers={**_PING_HEADERS, "Content-Length": "0"})
        return web.Response(body=b"OK", headers=_PING_HEADERS)

    async def version(self, call: Call) -> web.StreamResponse:
        """Which engine it is."""
        shown: dict[str, Any] = msgspec.to_builtins(await self._system.version())
        return call.answer(shown)

    async def info(self, call: Call) -> web.StreamResponse:
        """How it is set up and how it does."""
        shown: dict[str, Any] = msgspec.to_builtins(await self._system.info())
        return call.answer(schema.info(shown, call.version))
