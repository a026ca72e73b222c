"""Removing what nothing needs: containers and images."""

from typing import Protocol

from aiohttp import web

from api.call import Call
from api.routes.images import removal
from api.routing import Route
from engine import filters
from engine.containers import prune as containers
from engine.filters import Filters
from engine.images import prune as images


class ContainerPrune(Protocol):
    """What prunes containers."""

    async def prune(self, filters: Filters, /) -> containers.Pruned:
        """Remove them."""


class ImagePrune(Protocol):
    """What prunes images."""

    async def prune(self, filters: Filters, /) -> images.Pruned:
        """Remove them."""


class PruneRoutes:
    """Routes of prunes."""

    def __init__(self, containers: ContainerPrune, images: ImagePrune) -> None:
        self._containers = containers
        self._images = images

    def routes(self) -> list[Route]:
        """The table."""
        return [
            Route("POST", "/containers/prune", self.containers),
            Route("POST", "/images/prune", self.images),
        ]

    async def containers(self, call: Call) -> web.StreamResponse:
        """Containers that do not run."""
        pruned = await self._containers.prune(filters.parse(call.query.text("filters"), containers.FILTERS))
        return call.answer({"ContainersDeleted": pruned.ids or None, "SpaceReclaimed": pruned.reclaimed})

    async def images(self, call: Call) -> web.StreamResponse:
        """Images without a name, or without a container."""
        pruned = await self._images.prune(filters.parse(call.query.text("filters"), images.FILTERS))
        deleted = [removal(each) for each in pruned.removed]
        return call.answer({"ImagesDeleted": deleted or None, "SpaceReclaimed": pruned.reclaimed})
