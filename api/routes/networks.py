"""Networks: list and inspect."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from aiohttp import web

import errdefs
from api.call import Call
from api.routing import Route
from api.schema import networks as schema
from engine import filters
from engine.containers.container import Container
from engine.containers.list import ListQuery
from engine.filters import Filters
from network.drivers.driver import NetworkInfo

_ALLOWED = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
_BUILTIN = frozenset({"bridge", "host", "none"})
_TRUE = frozenset({"1", "t", "true"})
_BOOLEANS = _TRUE | {"0", "f", "false"}


class Networks(Protocol):
    """What these routes need of the network."""

    def networks(self) -> list[NetworkInfo]:
        """All of them."""


class Containers(Protocol):
    """What these routes need of the engine's containers."""

    def list(self, query: ListQuery, /) -> list[Container]:
        """Newest first."""


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
            Route("GET", "/networks/{name}", self.inspect),
        ]

    async def list(self, call: Call) -> web.StreamResponse:
        """Networks by Docker's filters."""
        wanted = filters.parse(call.query.text("filters"), _ALLOWED)
        _require_dangling(wanted)
        containers = self._running()
        chosen = [each for each in self._networks.networks() if _passes(each, wanted, containers)]
        return call.answer([schema.summary(each, containers, call.version) for each in chosen])

    async def inspect(self, call: Call) -> web.StreamResponse:
        """All about one network."""
        verbose = call.query.text("verbose")
        if verbose and verbose.lower() not in _BOOLEANS:
            raise errdefs.InvalidArgument(
                f'invalid value for verbose: {verbose}: strconv.ParseBool: parsing "{verbose}": invalid syntax'
            )
        scope = call.query.text("scope")
        found = _find(
            [each for each in self._networks.networks() if not scope or each.scope == scope], call.name
        )
        containers = self._running()
        shown = schema.inspect(found, containers, call.version)
        if not call.version.before("1.52"):
            shown["Status"] = schema.status(found, containers)
        return call.answer(shown)

    def _running(self) -> Sequence[Container]:
        return self._containers.list(ListQuery())


def _require_dangling(wanted: Filters) -> None:
    try:
        wanted.boolean("dangling", default=False)
    except errdefs.InvalidArgument:
        raise errdefs.InvalidArgument(
            'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")'
        ) from None


def _find(networks: Iterable[NetworkInfo], term: str) -> NetworkInfo:
    """By ID, then name, then a unique prefix of the ID."""
    every = list(networks)
    by_prefix = [each for each in every if term and each.id.startswith(term)]
    exact = [each for each in every if each.id == term] or [each for each in every if each.name == term]
    found = exact or by_prefix
    if not found:
        raise errdefs.NotFound(f"network {term} not found")
    if len(found) > 1:
        raise errdefs.InvalidArgument(
            f"{len(found)} matches found based on ID prefix: network {term} is ambiguous"
        )
    return found[0]


def _passes(info: NetworkInfo, wanted: Filters, containers: Iterable[Container]) -> bool:
    kinds = wanted.values("type")
    kind = "builtin" if info.name in _BUILTIN else "custom"
    for value in kinds:
        if value not in ("builtin", "custom"):
            raise errdefs.InvalidArgument(f"invalid filter: 'type'='{value}'")
    used = info.name in _BUILTIN or any(info.name in each.endpoints for each in containers)
    return (
        wanted.match("name", info.name)
        and wanted.match("id", info.id)
        and wanted.exact("driver", info.driver)
        and wanted.exact("scope", info.scope)
        and wanted.labels("label", info.labels)
        and (not kinds or kind in kinds)
        and ("dangling" not in wanted or wanted.boolean("dangling", default=False) is not used)
    )
