"""Removing what nothing needs: containers, images, networks, caches of builds."""

from collections.abc import Sequence
from typing import Protocol

import errdefs
from api import web
from api.call import Call
from api.routes.images import removal
from api.routing import Route
from engine import filters
from engine.build import cache_prune
from engine.build.cache_prune import Wanted
from engine.containers import prune as containers
from engine.filters import Filters
from engine.images import prune as images
from engine.networks import prune as networks


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


class BuildCache(Protocol):
    """What was kept of builds."""

    async def prune_by(self, filters: Filters, wanted: Wanted, /) -> cache_prune.Pruned:
        """Remove what the filters mean, and the rest asks for. It looks itself which filters there are."""


class PruneRoutes:
    """Routes of prunes."""

    def __init__(
        self, containers: ContainerPrune, images: ImagePrune, networks: NetworkPrune, builds: BuildCache
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
        pruned = await self._builds.prune_by(wanted, _sizes(call))
        return call.answer({"CachesDeleted": pruned.ids or None, "SpaceReclaimed": pruned.reclaimed})


def _sizes(call: Call) -> Wanted:
    """How much of a cache is to stay, in bytes. Since 1.48 the former `keep-storage` is the second choice."""
    if call.version.before("1.48"):
        return Wanted(all=call.query.flag("all"), reserved=_bytes(call, "keep-storage"))
    return Wanted(
        all=call.query.flag("all"),
        reserved=_bytes(call, "reserved-space") or _bytes(call, "keep-storage"),
        max_used=_bytes(call, "max-used-space"),
        min_free=_bytes(call, "min-free-space"),
    )


def _bytes(call: Call, name: str) -> int:
    """A number of bytes. InvalidArgument for what is none."""
    try:
        return call.query.integer(name) or 0
    except errdefs.InvalidArgument as error:
        raise errdefs.InvalidArgument(
            f"{name} is in bytes and expects an integer, got {call.query.text(name)[:64]}: "
            + error.message.partition(": ")[2]
        ) from None
