"""Volumes come to be: one that is there by record or by driver is taken, any other is made."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

import errdefs
from engine import faults
from engine.volumes.drivers import Drivers
from engine.volumes.store import VolumeStore
from volumes.driver import Driver, Seen
from volumes.volume import Phase, Volume

_log = logging.getLogger(__name__)

STEPS = ("volume.recorded", "volume.made")
"""Points of a creation at which the crash tests kill the daemon."""


class Making:
    """Looks for volumes and makes them; the caller holds the lock of the name."""

    def __init__(
        self,
        store: VolumeStore,
        drivers: Drivers,
        users_of: Callable[[str], Sequence[str]],
        tell: Callable[[Volume, str], Awaitable[None]],
    ) -> None:
        """`users_of` are the containers that mount a volume of a name; `tell` publishes an action."""
        self._store = store
        self._drivers = drivers
        self._users_of = users_of
        self._tell = tell

    async def ensure(
        self,
        name: str,
        driver: str,
        options: Mapping[str, str] | None,
        labels: Mapping[str, str] | None,
        phase: Phase,
    ) -> Volume:
        """The volume that is there, else one that is made, under its lock; Conflict when it is another driver's."""
        found = await self._still_there(name, driver) or (None if driver else await self.adopted(name))
        if found is not None:
            return found
        return await self._make(name, await self._drivers.to_make(name, driver), options, labels, phase)

    async def _still_there(self, name: str, driver: str) -> Volume | None:
        """The volume by its record, which is forgotten if its driver has no such volume any more."""
        found, unique = self._store.find(name), "volume name must be unique"
        if found is None:
            return None
        try:
            seen = await self.seen(found)
        except errdefs.NotFound:
            if self._users_of(name):
                raise errdefs.Conflict(
                    f"create {name}: found references to volume '{name}' in driver '{found.driver}' but the volume was"
                    " not found in the driver -- you may need to remove containers referencing this volume or force"
                    f" remove the volume to re-create it: {unique}"
                ) from None
            return None
        except errdefs.SystemFailure as error:
            raise errdefs.Conflict(
                f"create {name}: found reference to volume '{name}' in driver '{found.driver}', but got an error while"
                f" checking the driver: {error.message}: {unique}"
            ) from error
        if seen is not None and driver and driver != found.driver:
            raise errdefs.Conflict(
                f"create {name}: driver '{found.driver}' already has volume '{name}': {unique}"
            )
        return found

    async def seen(self, volume: Volume) -> Seen:
        """What its driver tells of it; NotFound when that has none, and then it is none of ours either."""
        driver = self._drivers.of(volume.driver)
        if driver is self._drivers.local:
            return Seen(name=volume.name, mountpoint=self._drivers.local.mountpoint(volume.name))
        seen = await driver.find(volume.name)
        if seen is None:
            if not self._users_of(volume.name):
                await self._store.delete(volume.name)
            raise unknown(volume.name)
        return seen

    async def adopted(self, name: str) -> Volume | None:
        """A volume of a plugin's that we did not know, from now on ours as well."""
        for driver in await self._drivers.remote() if name else ():
            try:
                seen = await driver.find(name)
            except errdefs.WherryError as error:
                _log.warning("looking for volume %s: %s", name, error)
                continue
            if seen is not None:
                volume = Volume(name=name, created=time.time_ns(), driver=driver.name)
                await self._store.save(volume, durable=False)
                return volume
        return None

    async def _make(
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
        there = await driver.find(name) is not None
        phase = Phase.MAKING if there else phase
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
            if not there or driver is self._drivers.local:
                await driver.create(name, options)
        except errdefs.WherryError:
            await self._store.delete(name)
            raise
        faults.hit("volume.made")
        if phase is Phase.MAKING:
            volume = msgspec.structs.replace(volume, phase=Phase.SETTLED)
            await self._store.save(volume, durable=False)
        await self._tell(volume, "create")
        return volume


def unknown(name: str) -> errdefs.NotFound:
    """What there is no volume of, in Docker's words."""
    return errdefs.NotFound((f"get {name}" if name else "get") + ": no such volume")
