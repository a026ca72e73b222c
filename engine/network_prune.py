"""`docker network prune`, where no networks are made by users: nothing goes."""

from engine.events import Events
from engine.filters import Filters
from engine.prune import until

FILTERS = frozenset(("label", "label!", "until"))


class NetworkPrune:
    """The door to it."""

    def __init__(self, events: Events) -> None:
        self._events = events

    async def prune(self, filters: Filters) -> list[str]:
        """The names of the networks that went. InvalidArgument for a filter that cannot be."""
        until(filters)
        await self._events.publish("network", "prune", "", {"reclaimed": "0"})
        return []
