"""Changing the limits of containers."""

from typing import Protocol

from api import web
from api.call import Call
from api.routing import Route
from api.schema import update as schema
from engine.containers.config import HostConfig


class Updates(Protocol):
    """What this route needs of the engine."""

    async def update(self, reference: str, asked: HostConfig, /) -> list[str]:
        """Change it; warnings."""


class ContainerUpdateRoutes:
    """The route of updates."""

    def __init__(self, updates: Updates) -> None:
        self._updates = updates

    def routes(self) -> list[Route]:
        """The table."""
        return [Route("POST", "/containers/{name}/update", self.update)]

    async def update(self, call: Call) -> web.StreamResponse:
        """Change resources and restart policy."""
        call.require_json()
        asked = schema.parse(await call.body() if call.has_body else b"", call.version)
        warnings = await self._updates.update(call.name, asked)
        return call.answer({"Warnings": warnings or None})
