"""A look at images where they lie, in their registries."""

from typing import Protocol

import errdefs
from api import web
from api.call import Call
from api.routing import Route
from api.schema import distribution as schema
from engine.images import reference
from engine.images.reference import Reference
from engine.registry import credentials
from engine.registry.credentials import Credentials
from engine.registry.inspect import Inspected

_RESERVED = "scratch"


class Registry(Protocol):
    """What this route needs of the registry client."""

    async def inspect(self, reference: Reference, credentials: Credentials | None, /) -> Inspected:
        """What a name means at its registry."""


class DistributionRoutes:
    """The route of a look into a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def routes(self) -> list[Route]:
        """The table."""
        return [Route("GET", "/distribution/{name}/json", self.inspect)]

    async def inspect(self, call: Call) -> web.StreamResponse:
        """Descriptor and platforms of an image."""
        named = reference.parse_any(call.name)
        if isinstance(named, str):
            raise errdefs.SystemFailure("no manifest found for full image ID")
        if named.familiar_name == _RESERVED:
            raise errdefs.InvalidArgument(f"'{_RESERVED}' is a reserved name")
        given = credentials.decode_or_none(call.request.headers.get("X-Registry-Auth", ""))
        return call.answer(schema.inspected(await self._registry.inspect(named, given)))
