"""Networks: create, list, inspect and remove; connecting containers to them."""

from collections.abc import Sequence
from typing import Protocol

import errdefs
from api import web
from api.call import Call, done
from api.routing import Route
from api.schema import networks as schema
from engine import filters
from engine.containers.config import EndpointConfig
from engine.containers.container import Container
from engine.containers.list import ListQuery
from engine.filters import Filters
from engine.networks import find, select
from engine.networks.create import CreateRequest
from network.drivers.driver import NetworkInfo

_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_BOOLEANS = _TRUE | {"0", "f", "F", "FALSE", "false", "False"}


class Networks(Protocol):
    """What these routes need of the engine's networks."""

    def all(self) -> list[NetworkInfo]:
        """All of them."""

    def list(self, filters: Filters, /) -> list[NetworkInfo]:
        """Those that pass."""

    async def create(self, request: CreateRequest, /) -> NetworkInfo:
        """Make one."""

    async def remove(self, reference: str, /) -> None:
        """Remove it."""


class Containers(Protocol):
    """What these routes need of the engine's containers."""

    def list(self, query: ListQuery, /) -> list[Container]:
        """Newest first."""

    async def connect_network(self, reference: str, network: str, asked: EndpointConfig | None, /) -> None:
        """Connect a container."""

    async def disconnect_network(self, reference: str, network: str, /, *, force: bool = False) -> None:
        """Disconnect it."""


class NetworkRoutes:
    """Routes of networks."""

    def __init__(self, networks: Networks, containers: Containers) -> None:
        self._networks = networks
        self._containers = containers

    def routes(self) -> list[Route]:
        """The table."""
        return [
            Route("GET", "/networks", self.list),
            Route("GET", "/networks/", self.list),
            Route("POST", "/networks/create", self.create),
            Route("GET", "/networks/{name}", self.inspect),
            Route("DELETE", "/networks/{name}", self.remove),
            Route("POST", "/networks/{name}/connect", self.connect),
            Route("POST", "/networks/{name}/disconnect", self.disconnect),
        ]

    async def list(self, call: Call) -> web.StreamResponse:
        """Networks by Docker's filters."""
        chosen = self._networks.list(filters.parse(call.query.text("filters"), select.FILTERS))
        containers = self._running()
        return call.answer([schema.summary(each, containers, call.version) for each in chosen])

    async def create(self, call: Call) -> web.StreamResponse:
        """Make a network."""
        body = await call.json(schema.CreateOptions)
        made = await self._networks.create(schema.request(body, call.version))
        return call.answer({"Id": made.id, "Warning": ""}, 201)

    async def inspect(self, call: Call) -> web.StreamResponse:
        """All about one network."""
        verbose = call.query.text("verbose")
        if verbose and verbose not in _BOOLEANS:
            raise errdefs.InvalidArgument(
                f'invalid value for verbose: {verbose}: strconv.ParseBool: parsing "{verbose}": invalid syntax'
            )
        found = self._in_scope(call.name, call.query.text("scope"))
        containers = self._running()
        shown = schema.inspect(found, containers, call.version)
        if not call.version.before("1.52"):
            shown["Status"] = schema.status(found, containers)
        return call.answer(shown)

    async def remove(self, call: Call) -> web.StreamResponse:
        """Remove a network that no running container is in."""
        await self._networks.remove(call.name)
        return done()

    async def connect(self, call: Call) -> web.StreamResponse:
        """Connect a container, whether it runs or not."""
        body = await call.json(schema.ConnectOptions)
        asked = schema.endpoint(body, call.version)
        await self._containers.connect_network(body.container, call.name, asked)
        return web.Response()

    async def disconnect(self, call: Call) -> web.StreamResponse:
        """Disconnect a container; with `Force` also one that is gone."""
        body = await call.json(schema.DisconnectOptions)
        await self._containers.disconnect_network(body.container, call.name, force=body.force)
        return web.Response()

    def _in_scope(self, reference: str, scope: str) -> NetworkInfo:
        try:
            return find.find([each for each in self._networks.all() if scope in ("", each.scope)], reference)
        except find.Ambiguous as error:  # this endpoint says it the other way round
            raise errdefs.InvalidArgument(
                f"{error.count} matches found based on ID prefix: network {reference} is ambiguous"
            ) from None

    def _running(self) -> Sequence[Container]:
        return self._containers.list(ListQuery())
