"""Statistics of containers."""

from typing import Protocol

import errdefs
from api import errors, web
from api.call import Call
from api.connection import Taken
from api.lasting import while_connected
from api.routing import Route
from api.schema import stats as schema
from engine.containers.container import Container
from engine.containers.stats import Sample, Watch


class Stats(Protocol):
    """What this route needs of the engine's statistics."""

    def watch(self, reference: str, /) -> Watch:
        """Samples, one a second."""

    def unwatch(self, reference: str, watch: Watch, /) -> None:
        """No more of them."""

    async def once(self, reference: str, /) -> Sample:
        """One sample, now."""


class Containers(Protocol):
    """What this route needs of the engine's containers."""

    def get(self, reference: str, /) -> Container:
        """By name, ID or prefix."""


class ContainerStatsRoutes:
    """The route of statistics."""

    def __init__(self, stats: Stats, containers: Containers) -> None:
        self._stats = stats
        self._containers = containers

    def routes(self) -> list[Route]:
        """The table."""
        return [Route("GET", "/containers/{name}/stats", self.stats)]

    async def stats(self, call: Call) -> web.StreamResponse:
        """A stream of samples; or one, with the one before it for the client to compare, unless it wants none."""
        container = self._containers.get(call.name)
        one_shot = not call.version.before("1.41") and call.query.flag("one-shot")
        if call.query.flag("stream", default=True):
            if one_shot:
                raise errdefs.InvalidArgument("cannot have stream=true and one-shot=true")
            return await self._stream(call, container.id)
        if one_shot or not container.running:
            return call.answer(schema.stats(await self._stats.once(container.id), None, call.version))
        return await self._compared(call, container.id)

    async def _stream(self, call: Call, container_id: str) -> web.StreamResponse:
        watch = self._stats.watch(container_id)
        previous: Sample | None = None
        try:
            response = await call.stream("application/json")
            with while_connected(call.request):
                async for sample in watch:
                    await response.write(errors.encode(schema.stats(sample, previous, call.version)))
                    previous = sample
        finally:
            self._stats.unwatch(container_id, watch)
        return response

    async def _compared(self, call: Call, container_id: str) -> web.StreamResponse:
        watch = self._stats.watch(container_id)
        previous: Sample | None = None
        answer: web.StreamResponse = Taken()
        try:
            with while_connected(call.request):
                answer = web.Response()  # empty, as Docker's, when the container is removed meanwhile
                async for sample in watch:
                    if previous is not None:
                        answer = call.answer(schema.stats(sample, previous, call.version))
                        break
                    previous = sample
        finally:
            self._stats.unwatch(container_id, watch)
        return answer
