"""Removing all containers that do not run."""

import logging

import msgspec

import errdefs
from engine.containers.container import Container
from engine.containers.containers import Containers
from engine.containers.list import ListQuery
from engine.containers.state import Status
from engine.events import Events
from engine.filters import Filters
from engine.prune import Turn, until

_log = logging.getLogger(__name__)

FILTERS = frozenset(("label", "label!", "until"))
_IDLE = (Status.CREATED, Status.EXITED, Status.DEAD)


class Pruned(msgspec.Struct):
    """What went: IDs, and the bytes that it took."""

    ids: list[str] = msgspec.field(default_factory=list)
    reclaimed: int = 0


class ContainerPrune:
    """The door to it; one at a time."""

    def __init__(self, containers: Containers, events: Events) -> None:
        self._containers = containers
        self._events = events
        self._turn = Turn()

    async def prune(self, filters: Filters) -> Pruned:
        """Remove what does not run and passes the filters. What cannot be removed stays, and is logged.

        InvalidArgument for filters that mean nothing, Conflict while another prune works.
        """
        with self._turn:
            filters.require_known(FILTERS)
            limit, pruned = until(filters), Pruned()
            for container in self._containers.list(ListQuery(all=True)):
                if to_go(container, filters, limit):
                    await self._remove(container, pruned)
            await self._events.publish("container", "prune", "", {"reclaimed": str(pruned.reclaimed)})
        return pruned

    async def _remove(self, container: Container, pruned: Pruned) -> None:
        try:
            size = await self._size(container)
            await self._containers.remove(container.id)
        except errdefs.WherryError as error:
            _log.warning("container %s is not pruned: %s", container.id[:12], error)
            return
        pruned.ids.append(container.id)
        pruned.reclaimed += size

    async def _size(self, container: Container) -> int:
        """Bytes of its own; nothing is left to measure where a removal was cut short."""
        try:
            return (await self._containers.size(container)).rw
        except errdefs.NotFound:
            return 0


def to_go(container: Container, filters: Filters, limit: int | None) -> bool:
    """Whether a prune takes a container; `limit` is the Unix time, in nanoseconds, before which it was made. Pure."""
    labels = container.config.labels
    return (
        container.state.status in _IDLE
        and (limit is None or container.created <= limit)
        and filters.labels("label", labels)
        and not filters.any_label("label!", labels)
    )
