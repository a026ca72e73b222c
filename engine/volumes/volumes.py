"""The door to volumes: creates, finds and removes them, under a lock for each name."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from weakref import WeakValueDictionary

import errdefs
from engine import faults, ids
from engine.database import Database
from engine.events import Events
from engine.filters import Filters
from engine.volumes import copy_up
from engine.volumes.store import VolumeStore
from volumes.driver import Driver
from volumes.volume import ANONYMOUS, LOCAL, Phase, Volume

_log = logging.getLogger(__name__)

FILTERS = frozenset(("dangling", "driver", "label", "name"))
STEPS = ("volume.recorded", "volume.made", "volume.marked", "volume.gone")
"""Points at which the crash tests kill the daemon: two of a creation, two of a removal."""

Users = Callable[[], Iterable[tuple[str, str]]]
"""(volume name, container ID) of every volume that a container mounts."""


class Volumes:
    """All volumes. Who uses one is derived from the containers, never counted.

    What a container that is being created has taken is held for it until its record tells.
    """

    def __init__(
        self,
        store: VolumeStore,
        drivers: Iterable[Driver],
        events: Events,
        users: Users,
        owner: tuple[int, int] = (0, 0),
    ) -> None:
        self.owner = owner
        self._store = store
        self._drivers = {driver.name: driver for driver in drivers}
        self._events = events
        self._users = users
        self._held: set[tuple[str, str]] = set()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @classmethod
    async def open(
        cls,
        database: Database,
        drivers: Iterable[Driver],
        events: Events,
        users: Users,
        owner: tuple[int, int] = (0, 0),
    ) -> "Volumes":
        """Read the records and settle what a crash left half done; the containers must be known already.

        `owner`: the host's (uid, gid) of containers' root, to whom a new volume belongs.
        """
        store = VolumeStore(database)
        await store.load()
        volumes = cls(store, drivers, events, users, owner)
        await volumes._settle()
        return volumes

    def get(self, name: str) -> Volume:
        """The volume of this name; NotFound in Docker's words."""
        found = self._store.find(name)
        if found is None:
            raise errdefs.NotFound((f"get {name}" if name else "get") + ": no such volume")
        return found

    def list(self, filters: Filters) -> list[Volume]:
        """The volumes, by name, that pass the filters; InvalidArgument for filters that mean nothing."""
        dangling = filters.boolean("dangling", default=False) if "dangling" in filters else None
        used = {name for name, _ in self._users()} | {name for name, _ in self._held}
        return [
            volume
            for volume in self._store.all()
            if filters.match("name", volume.name)
            and filters.exact("driver", volume.driver)
            and filters.labels("label", volume.labels)
            and (dangling is None or dangling is (volume.name not in used))
        ]

    def mountpoint(self, volume: Volume) -> str:
        """Where its data is shown to be."""
        return self._driver(volume).mountpoint(volume.name)

    def scope(self, volume: Volume) -> str:
        """Whether it is one host's: its driver knows."""
        return self._driver(volume).scope

    async def path(self, name: str) -> str:
        """The directory of a volume, to be mounted; SystemFailure when it is gone."""
        volume = self.get(name)
        return await self._driver(volume).path(name)

    def users_of(self, name: str) -> tuple[str, ...]:
        """The IDs of the containers that mount a volume, those that are being created among them."""
        return tuple(sorted({user for used, user in (*self._users(), *self._held) if used == name}))

    async def create(
        self,
        name: str,
        driver: str = "",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume:
        """Make a volume, durably, or return the one that is there; without a name it gets one, and is anonymous."""
        labels = None if labels is None else dict(labels)
        if not name:
            name, labels = ids.new_id(), {**(labels or {}), ANONYMOUS: ""}
        chosen = self.driver_named(name, driver)
        async with self.locked(name):
            found = self._store.find(name)
            if found is None:
                return await self.make(name, chosen, options, labels, Phase.MAKING)
            if found.phase is Phase.NEW:  # of a container that may fail yet: now it is wanted for itself
                found = replace(found, phase=Phase.SETTLED)
                await self._store.save(found)
            return found

    async def make(
        self,
        name: str,
        driver: Driver,
        options: Mapping[str, str] | None,
        labels: Mapping[str, str] | None,
        phase: Phase,
    ) -> Volume:
        """Make a volume that is not there, under its lock, and tell.

        It stays in the phase NEW if that is asked for; any other ends with it being settled. Data of that name that
        is there already is taken over, and never counts as new.
        """
        driver.check(name, options)
        if await driver.exists(name):
            phase = Phase.MAKING
        volume = Volume(
            name=name,
            created=time.time_ns(),
            driver=driver.name,
            labels=None if labels is None else dict(labels),
            options=None if options is None else dict(options),
            phase=phase,
        )
        await self._store.save(volume)
        faults.hit("volume.recorded")
        try:
            await driver.create(name, options)
        except errdefs.WherryError:
            await self._store.delete(name)
            raise
        faults.hit("volume.made")
        if phase is Phase.MAKING:
            volume = replace(volume, phase=Phase.SETTLED)
            await self._store.save(volume, durable=False)
        await self.tell(volume, "create")
        return volume

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume for good; Conflict if it is used, NotFound unless `force`."""
        async with self.locked(name):
            found = self._store.find(name)
            if found is None and force:
                return
            volume = self.get(name)
            if users := self.users_of(name):
                raise errdefs.Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
            await self.discard(volume)

    async def discard(self, volume: Volume) -> None:
        """Remove a volume, under its lock, whoever uses it: once it is marked there is no way back.

        On a full disk it goes unmarked: what it removes makes room.
        """
        try:
            await self._store.save(replace(volume, phase=Phase.REMOVING))
        except errdefs.SystemFailure as error:
            _log.warning("volume %s: that it is removed is not stored beforehand: %s", volume.name, error)
        faults.hit("volume.marked")
        try:
            await self._driver(volume).remove(volume.name)
        except errdefs.WherryError:
            await self._store.save(volume)
            raise
        faults.hit("volume.gone")
        await self._store.delete(volume.name)
        await self.tell(volume, "destroy")

    async def save(self, volume: Volume, *, durable: bool = True) -> None:
        """Commit another phase of a volume, under its lock."""
        await self._store.save(volume, durable=durable)

    def find(self, name: str) -> Volume | None:
        """The volume of this name, if there is one."""
        return self._store.find(name)

    def hold(self, name: str, container_id: str) -> None:
        """Count a container that is being created among the users."""
        self._held.add((name, container_id))

    def let_go(self, name: str, container_id: str) -> None:
        """Count it no more: its record tells, or it will never be."""
        self._held.discard((name, container_id))

    def locked(self, name: str) -> asyncio.Lock:
        """The lock of a name, whether there is such a volume or not."""
        return self._locks.setdefault(name, asyncio.Lock())

    def driver_named(self, name: str, driver: str) -> Driver:
        """The driver that is to make a volume, the local one for ""; NotFound in Docker's words."""
        found = self._drivers.get(driver or LOCAL)
        if found is None:
            raise errdefs.NotFound(
                f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found'
            )
        return found

    def _driver(self, volume: Volume) -> Driver:
        return self._drivers[volume.driver]

    async def tell(self, volume: Volume, action: str) -> None:
        """Publish an action."""
        await self._events.publish("volume", action, volume.name, {"driver": volume.driver})

    async def _settle(self) -> None:
        for driver in self._drivers.values():
            await driver.sweep()
        for volume in self._store.all():
            if volume.phase is not Phase.SETTLED:
                try:
                    await self._settle_one(volume)
                except (errdefs.WherryError, OSError) as error:
                    _log.error("volume %s: %s", volume.name, error)

    async def _settle_one(self, volume: Volume) -> None:
        """What was begun is done or undone: what no container came to need goes, everything else is completed."""
        used = bool(self.users_of(volume.name))
        if volume.phase is Phase.REMOVING or (volume.phase is Phase.NEW and not used):
            await self.discard(volume)
            return
        driver = self._driver(volume)
        if volume.phase is Phase.FILLING and not used:
            await asyncio.to_thread(copy_up.empty, await driver.path(volume.name), self.owner)
        else:
            await driver.create(volume.name, volume.options)
        await self._store.save(replace(volume, phase=Phase.SETTLED), durable=False)
