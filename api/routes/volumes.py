"""Volumes: create, list, inspect, remove and prune."""

from collections.abc import Mapping
from typing import Any, Protocol

import errdefs
from api import web
from api.call import Call, done
from api.routing import Route
from api.schema import volumes as schema
from engine import filters
from engine.filters import Filters
from engine.volumes import prune
from engine.volumes.listing import FILTERS, Listing, Shown
from engine.volumes.prune import Pruned, Usage
from volumes.volume import Volume

_NO_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and'
    " try again."
)


class Volumes(Protocol):
    """What these routes need of the engine's volumes."""

    async def look(self, name: str, /) -> Shown:
        """By name."""

    async def list(self, filters: Filters, /) -> Listing:
        """By name."""

    def shown(self, volume: Volume, /) -> Shown:
        """By its record alone."""

    async def create(
        self,
        name: str,
        driver: str = "",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume:
        """Make one."""

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove it."""


class VolumePrune(Protocol):
    """What measures and prunes volumes."""

    async def usage(self) -> list[Usage]:
        """Every volume."""

    async def prune(self, filters: Filters, /, *, named: bool = False) -> Pruned:
        """Remove those that nobody uses."""


class VolumeRoutes:
    """Routes of volumes."""

    def __init__(self, volumes: Volumes, upkeep: VolumePrune) -> None:
        self._volumes = volumes
        self._upkeep = upkeep

    def routes(self) -> list[Route]:
        """The table."""
        return [
            Route("GET", "/volumes", self.list),
            Route("POST", "/volumes/create", self.create),
            Route("POST", "/volumes/prune", self.prune),
            Route("GET", "/volumes/{name}", self.inspect),
            Route("PUT", "/volumes/{name}", self.update),
            Route("DELETE", "/volumes/{name}", self.remove),
        ]

    async def usage(self) -> list[dict[str, Any]]:
        """Every volume with what it takes, for the route of disk usage."""
        return [
            schema.usage(schema.inspect(self._volumes.shown(each.volume)), each)
            for each in await self._upkeep.usage()
        ]

    async def list(self, call: Call) -> web.StreamResponse:
        """Volumes by Docker's filters."""
        try:
            wanted = filters.parse(call.query.text("filters"), FILTERS)
        except errdefs.InvalidArgument as error:
            if error.message != "invalid filter":
                raise
            raise errdefs.InvalidArgument(f"error reading volume filters: {error.message}") from error
        listing = await self._volumes.list(wanted)
        volumes = [schema.inspect(each) for each in listing.volumes]
        return call.answer({"Volumes": volumes, "Warnings": list(listing.warnings) or None})

    async def create(self, call: Call) -> web.StreamResponse:
        """Make a volume, or show the one of that name."""
        request = await call.json(schema.CreateOptions)
        if request.cluster_volume_spec is not None and not call.version.before("1.42"):
            raise errdefs.Unavailable(_NO_SWARM)
        made = await self._volumes.create(request.name, request.driver, request.driver_opts, request.labels)
        return call.answer(schema.inspect(self._volumes.shown(made)), 201)

    async def inspect(self, call: Call) -> web.StreamResponse:
        """All about one volume."""
        return call.answer(schema.inspect(await self._volumes.look(call.name)))

    async def update(self, call: Call) -> web.StreamResponse:
        """Volumes of a swarm alone can be updated."""
        del call
        raise errdefs.Unavailable("volume update only valid for cluster volumes, but swarm is unavailable")

    async def remove(self, call: Call) -> web.StreamResponse:
        """Remove a volume that nobody uses."""
        await self._volumes.remove(call.name, force=call.query.flag("force"))
        return done()

    async def prune(self, call: Call) -> web.StreamResponse:
        """Remove what nobody uses: named volumes too before 1.42, anonymous ones alone since then."""
        wanted = filters.parse(call.query.text("filters"), prune.FILTERS)
        pruned = await self._upkeep.prune(wanted, named=call.version.before("1.42"))
        return call.answer({"VolumesDeleted": pruned.names, "SpaceReclaimed": pruned.reclaimed})
