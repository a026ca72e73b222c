"""Having volumes mounted and unmounted by their drivers, each use noted."""

import asyncio
import logging
from weakref import WeakValueDictionary

import errdefs
from engine import faults, ids
from engine.volumes.drivers import Drivers
from engine.volumes.mounted import Mounted, Use
from engine.volumes.store import VolumeStore
from volumes.volume import LOCAL, Volume

_log = logging.getLogger(__name__)
STEPS = ("volume.noted", "volume.mounted", "volume.unmounted")
"""Points at which the crash tests kill the daemon."""
_PATIENCE = 5.0


class Mounting:
    """One volume is mounted or unmounted by one at a time: which is the first use, and which the last."""

    def __init__(self, store: VolumeStore, drivers: Drivers, mounted: Mounted) -> None:
        self._store = store
        self._drivers = drivers
        self._mounted = mounted
        self._left: list[Use] = []
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def mount(self, volume: Volume, container: str) -> tuple[str, Use | None]:
        """The directory, and the use to end later; None where nothing has to be.

        SystemFailure when it cannot be mounted; then, or when it is cancelled, nothing is.
        """
        driver = self._drivers.of(volume.driver)
        if not driver.mounts(volume):
            return await driver.mount(volume, ""), None
        use = Use(volume=volume.name, user=ids.new_id(), container=container)
        async with self._lock(volume.name):
            try:
                await self._mounted.add(use)
            except OSError as error:
                raise errdefs.SystemFailure(
                    f"cannot note that volume {volume.name} is mounted: {error}"
                ) from error
            faults.hit("volume.noted")
            try:
                path = await driver.mount(volume, use.user)
            except errdefs.WherryError:
                await self._mounted.drop(use)
                raise
            except asyncio.CancelledError:
                await self._call_off(use)
                raise
        faults.hit("volume.mounted")
        return path, use

    async def unmount(self, use: Use) -> None:
        """End a use; a failure is logged: who used the volume is gone."""
        async with self._lock(use.volume):
            await self._end(use)

    async def release(self, container: str) -> None:
        """End the uses of a container."""
        for use in self._mounted.all():
            if use.container == container:
                await self.unmount(use)

    def mark(self, running: set[str]) -> None:
        """Take the uses of all but these containers for what a former daemon left: called once, at boot."""
        self._left = [use for use in self._mounted.all() if use.container not in running]

    async def sweep(self, *, local: bool) -> None:
        """End the uses that were left; on this host, unmount what nobody is noted to use."""
        for use in self._left:
            volume = self._store.find(use.volume)
            of_host = volume is None or volume.driver == LOCAL
            if of_host is local:
                await self.unmount(use)
        for volume in self._store.all() if local else ():
            if volume.driver == LOCAL and not self._mounted.of(volume.name):
                await self._unmount(volume, "", last=True)

    async def _call_off(self, use: Use) -> None:
        """End a use that may have come to be; who called it off does not wait for a plugin that hangs."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._end(use)
        except TimeoutError:
            _log.error("volume %s: its plugin does not answer, and may have it mounted", use.volume)
            await self._mounted.drop(use)

    async def _end(self, use: Use) -> None:
        volume = self._store.find(use.volume)
        others = [other for other in self._mounted.of(use.volume) if other != use]
        if volume is not None:
            await self._unmount(volume, use.user, last=not others)
        faults.hit("volume.unmounted")
        await self._mounted.drop(use)

    async def _unmount(self, volume: Volume, user: str, *, last: bool) -> None:
        try:
            await self._drivers.of(volume.driver).unmount(volume, user, last=last)
        except errdefs.WherryError as error:
            _log.error("volume %s: %s", volume.name, error)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())
