"""The door to volumes: creates, finds and removes them, under a lock for each name."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

import msgspec

import errdefs
from engine import faults, ids
from engine.database import Database
from engine.events import Events
from engine.filters import Filters
from engine.volumes import settle
from engine.volumes.drivers import Drivers
from engine.volumes.listing import Listing, Shown, passes, shown
from engine.volumes.making import Making, unknown
from engine.volumes.mounted import Mounted
from engine.volumes.mounting import Mounting
from engine.volumes.store import VolumeStore
from volumes.volume import ANONYMOUS, LOCAL, Phase, Volume

_log = logging.getLogger(__name__)

STEPS = ("volume.marked", "volume.gone")
"""Points of a removal at which the crash tests kill the daemon."""

Users = Callable[[], Iterable[tuple[str, str]]]
"""(volume name, container ID) of every volume that a container mounts."""


class Volumes:
    """All volumes. Who uses one is derived from the containers, never counted.

    What a container that is being created has taken is held for it until its record tells.
    """

    def __init__(
        self,
        store: VolumeStore,
        drivers: Drivers,
        events: Events,
        users: Users,
        mounted: Mounted,
        owner: tuple[int, int] = (0, 0),
    ) -> None:
        self._store = store
        self._drivers = drivers
        self._events = events
        self._users = users
        self.owner = owner
        self._mounting = Mounting(store, drivers, mounted)
        self._making = Making(store, drivers, self.users_of, self.tell)
        self._held: set[tuple[str, str]] = set()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @classmethod
    async def open(
        cls,
        database: Database,
        drivers: Drivers,
        events: Events,
        users: Users,
        mounted: Mounted,
        owner: tuple[int, int] = (0, 0),
    ) -> "Volumes":
        """Read the records and settle what a crash left half done on this host; the containers must be known already.

        What plugins have to settle is for `settle_remote`. `owner`: the host's (uid, gid) of containers' root, to whom
        a new volume belongs.
        """
        store = VolumeStore(database)
        await store.load()
        await asyncio.to_thread(mounted.load)
        volumes = cls(store, drivers, events, users, mounted, owner)
        await drivers.local.sweep()
        await volumes._settle(local=True)
        return volumes

    async def close(self) -> None:
        """End what is under way with drivers; the next daemon goes on with it."""
        await self._mounting.close()

    def get(self, name: str) -> Volume:
        """The volume of this name, by its record; NotFound in Docker's words."""
        found = self._store.find(name)
        if found is None:
            raise unknown(name)
        return found

    def all(self) -> list[Volume]:
        """Those with a record, by name."""
        return self._store.all()

    def unused(self, volume: Volume) -> bool:
        """Whether no container has it, nor one that is being created."""
        return not self.users_of(volume.name)

    async def look(self, name: str) -> Shown:
        """The volume of this name and what its driver tells; NotFound in Docker's words.

        SystemFailure when the driver does not answer.
        """
        volume = self._store.find(name) or await self._making.adopted(name)
        if volume is None:
            raise unknown(name)
        try:
            return shown(volume, self._drivers, await self._making.seen(volume))
        except errdefs.SystemFailure as error:
            raise errdefs.SystemFailure(f"get {name}: {error.message}") from error

    def shown(self, volume: Volume) -> Shown:
        """A volume by its record alone."""
        return shown(volume, self._drivers, None)

    async def list(self, filters: Filters) -> Listing:
        """The volumes, by name, that pass the filters; InvalidArgument for filters that mean nothing."""
        dangling = filters.boolean("dangling", default=False) if "dangling" in filters else None
        used = {name for name, _ in (*self._users(), *self._held)}
        listing = await Listing.of(self._store.all(), self._drivers)
        return listing.only(
            lambda volume: (
                passes(volume, filters) and (dangling is None or dangling is (volume.name not in used))
            )
        )

    def mountpoint(self, volume: Volume) -> str:
        """Where its data is shown to be in a container's mounts: "" when a plugin decides that."""
        return self.shown(volume).seen.mountpoint

    def driver_names(self) -> Sequence[str]:
        """The drivers that are known by now."""
        return self._drivers.names()

    def is_plain(self, volume: Volume) -> bool:
        """Whether it is a directory of this host's own that is always there."""
        return not self._drivers.of(volume.driver).mounts(volume)

    async def mount(self, name: str, container: str) -> str:
        """The directory of a volume, there for this container until `release`; SystemFailure when it cannot be."""
        return (await self._mounting.mount(self.get(name), container))[0]

    async def release(self, container: str) -> None:
        """Have unmounted what is mounted for this container alone. Failures are logged."""
        await self._mounting.release(container)

    @asynccontextmanager
    async def using(self, name: str) -> AsyncIterator[str]:
        """The directory of a volume, there as long as the context lasts, for a use of the engine's own."""
        path, use = await self._mounting.mount(self.get(name), "")
        try:
            yield path
        finally:
            if use is not None:
                await self._mounting.unmount(use)

    async def sweep(self, running: set[str]) -> None:
        """Have unmounted what this host has mounted for none of these containers; plugins' is for `settle_remote`."""
        self._mounting.mark(running)
        await self._mounting.sweep(local=True)

    async def settle_remote(self) -> None:
        """The rest of what a crash left half done, for which plugins are waited for."""
        await self._mounting.sweep(local=False)
        await self._settle(local=False)

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
            name, driver, labels = ids.new_id(), driver or LOCAL, {**(labels or {}), ANONYMOUS: ""}
        async with self.locked(name):
            found = await self.ensure(name, driver, options, labels, Phase.MAKING)
            if found.phase is Phase.NEW:  # of a container that may fail yet: now it is wanted for itself
                found = msgspec.structs.replace(found, phase=Phase.SETTLED)
                await self._store.save(found)
            return found

    async def ensure(
        self,
        name: str,
        driver: str,
        options: Mapping[str, str] | None,
        labels: Mapping[str, str] | None,
        phase: Phase,
    ) -> Volume:
        """See Making.ensure."""
        return await self._making.ensure(name, driver, options, labels, phase)

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume for good; Conflict if it is used, NotFound unless `force`."""
        async with self.locked(name):
            try:
                volume = (await self.look(name)).volume
            except errdefs.NotFound:
                if force:
                    return
                raise
            if users := self.users_of(name):
                raise errdefs.Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
            await self.discard(volume)

    async def discard(self, volume: Volume) -> None:
        """Remove a volume, under its lock, whoever uses it: once it is marked there is no way back.

        On a full disk it goes unmarked: what it removes makes room.
        """
        try:
            await self._store.save(msgspec.structs.replace(volume, phase=Phase.REMOVING))
        except errdefs.SystemFailure as error:
            _log.warning("volume %s: that it is removed is not stored beforehand: %s", volume.name, error)
        faults.hit("volume.marked")
        try:
            await self._drivers.of(volume.driver).remove(volume.name)
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

    async def tell(self, volume: Volume, action: str) -> None:
        """Publish an action."""
        await self._events.publish("volume", action, volume.name, {"driver": volume.driver})

    async def _settle(self, *, local: bool) -> None:
        for volume in self._store.all():
            if volume.phase is not Phase.SETTLED and local is (volume.driver == LOCAL):
                try:
                    async with self.locked(volume.name):
                        await settle.one(self, self._drivers.of(volume.driver), volume)
                except (errdefs.WherryError, OSError) as error:
                    _log.error("volume %s: %s", volume.name, error)
