"""Removing what nothing needs: containers, images, networks, caches of builds."""

from collections.abc import Sequence
from typing import Protocol

from aiohttp import web

import errdefs
from api.call import Call
from api.routes.images import removal
from api.routing import Route
from engine import build_prune, filters
from engine.containers import prune as containers
from engine.filters import Filters
from engine.images import prune as images
from engine.networks import prune as networks

_OLD_SIZES = ("keep-storage",)
_SIZES = ("reserved-space", *_OLD_SIZES, "max-used-space", "min-free-space")  # of caches that are to stay


class ContainerPrune(Protocol):
    """What prunes containers."""

    async def prune(self, filters: Filters, /) -> containers.Pruned:
        """Remove them."""


class ImagePrune(Protocol):
    """What prunes images."""

    async def prune(self, filters: Filters, /) -> images.Pruned:
        """Remove them."""


class NetworkPrune(Protocol):
    """What prunes networks."""

    async def prune(self, filters: Filters, /) -> Sequence[str]:
        """Remove them; the names of those that went."""


class BuildPrune(Protocol):
    """What prunes caches of builds."""

    async def prune(self, filters: Filters, /) -> build_prune.Pruned:
        """Remove them. It looks itself which filters there are."""


class PruneRoutes:
    """Routes of prunes."""

    def __init__(
        self, containers: ContainerPrune, images: ImagePrune, networks: NetworkPrune, builds: BuildPrune
    ) -> None:
        self._containers = containers
        self._images = images
        self._networks = networks
        self._builds = builds

    def routes(self) -> list[Route]:
        """The table."""
        return [
            Route("POST", "/containers/prune", self.containers),
            Route("POST", "/images/prune", self.images),
            Route("POST", "/networks/prune", self.networks),
            Route("POST", "/build/prune", self.builds),
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

    async def networks(self, call: Call) -> web.StreamResponse:
        """Networks that no container is in."""
        wanted = filters.parse(call.query.text("filters"), networks.FILTERS)
        return call.answer({"NetworksDeleted": list(await self._networks.prune(wanted)) or None})

    async def builds(self, call: Call) -> web.StreamResponse:
        """What was kept of builds."""
        wanted = filters.read(call.query.text("filters"))
        for size in _SIZES if not call.version.before("1.48") else _OLD_SIZES:
            _require_bytes(call, size)
        pruned = await self._builds.prune(wanted)
        return call.answer({"CachesDeleted": pruned.ids or None, "SpaceReclaimed": pruned.reclaimed})


def _require_bytes(call: Call, name: str) -> None:
    """Refuse what is no number of bytes."""
    try:
        call.query.integer(name)
    except errdefs.InvalidArgument as error:
        raise errdefs.InvalidArgument(
            f"{name} is in bytes and expects an integer, got {call.query.text(name)[:64]}: "
            + error.message.partition(": ")[2]
        ) from None
