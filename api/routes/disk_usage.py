"""How much of the disk everything takes."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import errdefs
from api import web
from api.call import Call
from api.routing import Route
from api.schema import disk_usage as schema
from api.versions import Version
from engine.build import cache_filters
from engine.containers.container import Container
from engine.containers.list import ListQuery
from engine.filters import Filters
from engine.images.listing import Listed
from engine.images.usage import Stored

Summary = Callable[[Container, Version], Awaitable[dict[str, Any]]]
"""An entry of the list of containers, with its sizes."""
Volumes = Callable[[], Awaitable[list[dict[str, Any]]]]
"""Local volumes as the API shows them, with their usage."""


class Containers(Protocol):
    """What this route needs of the engine's containers."""

    def list(self, query: ListQuery, /) -> list[Container]:
        """Newest first."""


class Images(Protocol):
    """What this route needs of the engine's images."""

    def list(self, filters: Filters, /, *, all_images: bool = False) -> list[Listed]:
        """Newest first."""

    async def stored(self) -> Stored:
        """What all of them take."""


class BuildCache(Protocol):
    """What was kept of builds."""

    async def usage(self) -> list[cache_filters.Usage]:
        """The oldest first."""


class Disk(Protocol):
    """What this route needs of the disk."""

    async def logs(self, container_id: str, /) -> int:
        """The bytes of a container's logs."""

    async def own(self) -> int:
        """The bytes of what the engine itself keeps."""


class DiskUsageRoutes:
    """The route of disk usage."""

    def __init__(
        self,
        containers: Containers,
        images: Images,
        disk: Disk,
        builds: BuildCache,
        summary: Summary,
        volumes: Volumes,
    ) -> None:
        self._containers = containers
        self._images = images
        self._disk = disk
        self._builds = builds
        self._summary = summary
        self._volumes = volumes

    def routes(self) -> list[Route]:
        """The table."""
        return [Route("GET", "/system/df", self.usage)]

    async def usage(self, call: Call) -> web.StreamResponse:
        """What there is and what could be freed; of the asked kinds, since 1.42."""
        wanted = set(call.query.all("type")) if not call.version.before("1.42") else set[str]()
        for kind in call.query.all("type"):
            if kind in wanted and kind not in schema.KINDS:
                raise errdefs.InvalidArgument(f"unknown object type: {kind}")
        found: dict[str, schema.Usage] = {}
        for kind in schema.KINDS:
            if kind in wanted or not wanted:
                found[kind] = await self._of(kind, call.version)
        own = None if wanted else await self._disk.own()
        return call.answer(schema.answer(found, call.version, verbose=call.query.flag("verbose"), own=own))

    async def _of(self, kind: str, version: Version) -> schema.Usage:
        match kind:
            case "image":
                stored = await self._images.stored()  # first: the lists must be of one moment
                everything = self._images.list(Filters(), all_images=True)
                return schema.images(self._images.list(Filters()), everything, stored, version)
            case "container":
                containers = self._containers.list(ListQuery(all=True))
                return schema.containers([await self._container(each, version) for each in containers])
            case "volume":
                return schema.volumes(await self._volumes())
            case _:
                return schema.build_cache(await self._builds.usage(), version)

    async def _container(self, container: Container, version: Version) -> dict[str, Any]:
        """An entry of the list; what it has written is its logs, too."""
        shown = await self._summary(container, version)
        logs = await self._disk.logs(container.id)
        sizes = {name: shown.get(name, 0) + logs for name in ("SizeRw", "SizeRootFs")}
        return shown | {name: size for name, size in sizes.items() if size}
