"""Looking for images in registries."""

from collections.abc import Sequence
from typing import Protocol

import errdefs
from api import web
from api.call import Call
from api.routing import Route
from engine import filters
from engine.filters import Filters
from engine.registry import credentials
from engine.registry.credentials import Credentials
from engine.registry.search import FILTERS, Found


class Registry(Protocol):
    """What this route needs of the registry client."""

    async def search(
        self, term: str, limit: int, wanted: Filters, credentials: Credentials | None, /
    ) -> Sequence[Found]:
        """What an index finds for a term."""


class SearchRoutes:
    """The route of `docker search`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def routes(self) -> list[Route]:
        """The table."""
        return [Route("GET", "/images/search", self.search)]

    async def search(self, call: Call) -> web.StreamResponse:
        """Repositories by a term, as an index tells of them."""
        try:
            limit = call.query.integer("limit") or 0
        except errdefs.InvalidArgument as error:
            problem = error.message.partition(": ")[2]
            raise errdefs.InvalidArgument(f"invalid limit specified: {problem}") from None
        wanted = filters.parse(call.query.text("filters"), FILTERS)
        given = credentials.decode_or_none(call.request.headers.get("X-Registry-Auth", ""))
        found = await self._registry.search(call.query.text("term"), limit, wanted, given)
        return call.answer([_shown(each) for each in found])


def _shown(found: Found) -> dict[str, str | int | bool]:
    return {
        "star_count": found.star_count,
        "is_official": found.is_official,
        "name": found.name,
        "is_automated": False,  # nothing is, any more
        "description": found.description,
    }
