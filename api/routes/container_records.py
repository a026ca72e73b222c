"""What containers are: list and inspect."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from api import errors, web
from api.call import Call
from api.routing import Route
from api.schema import containers as schema
from api.schema.remembered import Remembered
from api.versions import Version
from engine import filters
from engine.containers.container import Container
from engine.containers.list import ALLOWED, ListQuery

_REMEMBERED = 256  # answers of inspect
_MAX_REMEMBERED = 16 * 1024  # bytes of one; most have 4,000


class Sizes(Protocol):
    """Bytes of a container."""

    @property
    def rw(self) -> int:
        """Of its own changes."""

    @property
    def rootfs(self) -> int:
        """Of its whole root."""


class Containers(Protocol):
    """What these routes need of the engine's containers."""

    def get(self, reference: str, /) -> Container:
        """By name, ID or prefix."""

    def names(self, container: Container, /) -> Sequence[str]:
        """What one goes by, also in others' links."""

    def list(self, query: ListQuery, /) -> list[Container]:
        """Newest first."""

    async def size(self, container: Container, /) -> Sizes:
        """Of one container."""


class ContainerRecordRoutes:
    """Routes that read records. `around` gives what answers tell beyond the record, `image_id` the ID that an image
    reference means now ("" for none), `exec_ids` the execs of a container.
    """

    def __init__(
        self,
        containers: Containers,
        around: Callable[[], schema.Surroundings],
        image_id: Callable[[str], str],
        exec_ids: Callable[[str], list[str]],
    ) -> None:
        self._containers = containers
        self._around = around
        self._image_id = image_id
        self._exec_ids = exec_ids
        self._inspected: Remembered[tuple[Version, tuple[str, ...], bytes]] = Remembered(_REMEMBERED)

    def routes(self) -> list[Route]:
        """The table."""
        return [
            Route("GET", "/containers/json", self.list),
            Route("GET", "/containers/{name}/json", self.inspect),
        ]

    async def list(self, call: Call) -> web.StreamResponse:
        """Containers by Docker's filters."""
        query = ListQuery(
            all=call.query.flag("all"),
            limit=call.query.integer("limit") or 0,
            filters=filters.parse(call.query.text("filters"), ALLOWED),
        )
        with_size = call.query.flag("size")
        answer = []
        for container in self._containers.list(query):
            shown = self._summary(container, call.version)
            if with_size:
                shown |= await self._sizes(container, empty=False)
            answer.append(shown)
        return call.answer(answer)

    async def sized_summary(self, container: Container, version: Version) -> dict[str, Any]:
        """An entry of the list, with sizes."""
        return self._summary(container, version) | await self._sizes(container, empty=False)

    def _summary(self, container: Container, version: Version) -> dict[str, Any]:
        return schema.summary(
            container, self._containers.names(container), version, self._image_name(container)
        )

    async def inspect(self, call: Call) -> web.StreamResponse:
        """All about one container."""
        container = self._containers.get(call.name)
        exec_ids = tuple(self._exec_ids(container.id))
        if call.query.flag("size"):
            shown = self._shown(container, call.version, exec_ids)
            return call.answer(shown | await self._sizes(container, empty=True))
        return call.encoded(self._encoded(container, call.version, exec_ids))

    def _encoded(self, container: Container, version: Version, exec_ids: tuple[str, ...]) -> bytes:
        """The answer, as long as the record stands: what it tells beyond that are names in links, and execs."""
        known = self._inspected.of(container)
        if known is not None and known[:2] == (version, exec_ids):
            return known[2]
        encoded = errors.encode(self._shown(container, version, exec_ids))
        if not container.links and len(encoded) <= _MAX_REMEMBERED:
            self._inspected.keep(container, (version, exec_ids, encoded))
        return encoded

    def _shown(self, container: Container, version: Version, exec_ids: tuple[str, ...]) -> dict[str, Any]:
        return schema.inspect(container, self._around(), version, exec_ids, container.log_path)

    async def _sizes(self, container: Container, *, empty: bool) -> dict[str, Any]:
        sizes = await self._containers.size(container)
        shown = {"SizeRw": sizes.rw, "SizeRootFs": sizes.rootfs}
        return {name: size for name, size in shown.items() if size or empty}

    def _image_name(self, container: Container) -> str:
        """As the create request named it, or the ID when that name means another image by now."""
        same = container.image_name == container.image_id
        if same or self._image_id(container.image_name) == container.image_id:
            return container.image_name
        return container.image_id
