"""The stream of events."""

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Protocol

import errdefs
from api import web
from api.call import Call
from api.lasting import while_connected
from api.routing import Route
from api.schema import events as schema
from engine import filters
from engine.events.event import Event
from engine.filters import Filters


class Events(Protocol):
    """What this route needs of the engine's events."""

    def subscribe(
        self, filters: Filters, since_ns: int | None = None, until_ns: int | None = None
    ) -> AsyncIterator[Event]:
        """Stored events of the asked time, then live ones; it listens from this call on."""


class EventRoutes:
    """The route of events."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def routes(self) -> list[Route]:
        """The table."""
        return [Route("GET", "/events", self.stream)]

    async def stream(self, call: Call) -> web.StreamResponse:
        """Events as they happen, the head at once; it ends at `until`."""
        since, until = call.query.timestamp("since"), call.query.timestamp("until")
        if until is not None and until < (since or 0):
            raise errdefs.InvalidArgument(
                f"`since` time ({call.query.text('since')}) cannot be after "
                f"`until` time ({call.query.text('until')})"
            )
        wanted = filters.read(call.query.text("filters"))  # unknown ones count for nothing, as in Docker
        media_type = schema.content_type(call.request.headers.get("Accept", ""), call.version)
        if until == 0:  # is over, but bounds nothing, as in Docker
            until = time.time_ns()
        events = self._events.subscribe(wanted, since or None, until)
        response = await call.stream(media_type)
        async with contextlib.aclosing(events):  # type: ignore[type-var]
            with while_connected(call.request):
                async for event in events:
                    if not schema.hidden(event, call.version):
                        await response.write(schema.encode(event, call.version, media_type))
        return response
