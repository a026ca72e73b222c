"""How much volumes take, and removing those that no container uses."""

import asyncio
import logging
from collections import Counter

import msgspec

import errdefs
from engine.events import Events
from engine.filters import Filters
from engine.prune import Turn
from engine.volumes import copy_up
from engine.volumes.volumes import Volumes
from volumes.volume import LOCAL, Volume

_log = logging.getLogger(__name__)

FILTERS = frozenset(("all", "label", "label!"))
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
UNKNOWN = -1
"""The size of a volume whose data cannot be read, or is not of this host's disk."""


class Usage(msgspec.Struct, frozen=True):
    """What a volume takes, in bytes, and how many containers use it."""

    volume: Volume
    size: int
    users: int


class Pruned(msgspec.Struct):
    """What went: names, and the bytes that it took."""

    names: list[str] = msgspec.field(default_factory=list)
    reclaimed: int = 0


class VolumePrune:
    """The door to it; one at a time."""

    def __init__(self, volumes: Volumes, events: Events) -> None:
        self._volumes = volumes
        self._events = events
        self._turn = Turn()

    async def usage(self) -> list[Usage]:
        """Every volume, by name."""
        listed = self._volumes.all()
        users = Counter({volume.name: len(self._volumes.users_of(volume.name)) for volume in listed})
        return [Usage(volume, await self._size(volume), users[volume.name]) for volume in listed]

    async def prune(self, filters: Filters, *, named: bool = False) -> Pruned:
        """Remove the unused volumes that pass the filters: anonymous ones, with `named` or the filter `all` others too.

        InvalidArgument for filters that mean nothing, Conflict while another prune works.
        """
        with self._turn:
            filters.require_known(FILTERS)
            everything, pruned = _takes_named(filters, named=named), Pruned()
            for volume in self._volumes.all():
                if (everything or volume.anonymous) and _passes(volume, filters):
                    await self._remove(volume, pruned)
            await self._events.publish("volume", "prune", "", {"reclaimed": str(pruned.reclaimed)})
        return pruned

    async def _remove(self, volume: Volume, pruned: Pruned) -> None:
        """As in Docker, what takes no room of this host is not pruned: volumes of plugins, and those with options."""
        if volume.driver != LOCAL or volume.options or not self._volumes.unused(volume):
            return
        size = await self._size(volume)
        try:
            await self._volumes.remove(volume.name)
        except errdefs.WherryError as error:
            _log.warning("volume %s is not pruned: %s", volume.name, error)
            return
        pruned.names.append(volume.name)
        pruned.reclaimed += max(size, 0)

    async def _size(self, volume: Volume) -> int:
        """Nothing is mounted to be measured."""
        if not self._volumes.is_plain(volume):
            return UNKNOWN
        try:
            async with self._volumes.using(volume.name) as path:
                return await asyncio.to_thread(copy_up.size_of, path)
        except (errdefs.WherryError, OSError) as error:
            _log.warning("volume %s: its size is not known: %s", volume.name, error)
            return UNKNOWN


def _takes_named(filters: Filters, *, named: bool) -> bool:
    values = [*filters.values("all"), *(["true"] if named else [])]
    if len(set(values)) > 1:
        raise errdefs.InvalidArgument(
            f"invalid filter 'all=[{' '.join(values)}]': only one value is expected"
        )
    for value in values:
        if value not in _TRUE | _FALSE:
            raise errdefs.InvalidArgument(
                f"invalid filter 'all': strconv.ParseBool: parsing \"{value}\": invalid syntax"
            )
    return bool(values) and values[0] in _TRUE


def _passes(volume: Volume, filters: Filters) -> bool:
    return filters.labels("label", volume.labels) and not filters.any_label("label!", volume.labels)
