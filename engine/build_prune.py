"""`docker builder prune`, where nothing is built: no cache goes."""

import time
from dataclasses import dataclass, field

import errdefs
from engine.events import Events
from engine.filters import Filters
from engine.images import moments

_SINGLE = ("id", "parent", "type", "description", "inuse", "shared", "private")
_AGES = ("until", "unused-for")
_FILTERS = frozenset((*_SINGLE, *_AGES, "label", "label!"))


@dataclass(slots=True)
class Pruned:
    """What went: IDs, and the bytes that it took."""

    ids: list[str] = field(default_factory=list)
    reclaimed: int = 0


class BuildPrune:
    """The door to it."""

    def __init__(self, events: Events) -> None:
        self._events = events

    async def prune(self, filters: Filters) -> Pruned:
        """Take away what was cached of builds. InvalidArgument, in Docker's words, for a filter that cannot be."""
        try:
            _check(filters)
        except errdefs.InvalidArgument as error:
            raise errdefs.InvalidArgument(f"failed to prune build cache: {error.message}") from None
        pruned = Pruned()
        await self._events.publish("builder", "prune", "", {"reclaimed": str(pruned.reclaimed)})
        return pruned


def _check(filters: Filters) -> None:
    filters.require_known(_FILTERS)
    ages = [(key, text) for key in _AGES for text in filters.values(key)]
    if len({key for key, _ in ages}) > 1:
        raise errdefs.InvalidArgument('conflicting filters: "until" and "unused-for"')
    if len(ages) > 1 or any(len(filters.values(key)) > 1 for key in _SINGLE):
        raise errdefs.InvalidArgument("filters expect only one value")
    for key, text in ages:
        try:
            moments.parse(text, time.time_ns())
        except errdefs.InvalidArgument as error:
            raise errdefs.InvalidArgument(
                f"\"{key}\" filter expects a duration (e.g., '24h') or a timestamp: {error.message}"
            ) from None
