"""Having volumes mounted and unmounted by their drivers, each use noted."""

import asyncio
import logging
from weakref import WeakValueDictionary

import errdefs
from engine import faults, ids
from engine.volumes.drivers import Drivers
from engine.volumes.mounted import Mounted, Use
from engine.volumes.store import VolumeStore
from plugins.client import PluginAway
from volumes.driver import Driver
from volumes.volume import LOCAL, Volume

_log = logging.getLogger(__name__)
STEPS = ("volume.noted", "volume.mounted", "volume.unmounted")
"""Points at which the crash tests kill the daemon."""
_PATIENCE = 5.0


class Mounting:
    """One volume is mounted or unmounted by one at a time: which is the first use, and which the last.

    A use that cannot be ended since its plugin is away stays noted: it is ended with its container's removal, or by the
    next daemon.
    """

    def __init__(self, store: VolumeStore, drivers: Drivers, mounted: Mounted) -> None:
        self._store = store
        self._drivers = drivers
        self._mounted = mounted
        self._left: list[Use] = []
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def mount(self, volume: Volume, container: str) -> tuple[str, Use | None]:
        """The directory, and the use to end later; None where nothing has to be.

        SystemFailure when it cannot be mounted; then nothing is. When it is cancelled, the use is ended.
        """
        driver = self._drivers.of(volume.driver)
        if not driver.mounts(volume):
            return await driver.mount(volume, ""), None
        use = Use(volume=volume.name, user=ids.new_id(), container=container)
        try:
            path = await self._begin(use, volume, driver)
        except asyncio.CancelledError:
            await self.unmount(use)
            raise
        faults.hit("volume.mounted")
        return path, use

    async def unmount(self, *uses: Use) -> None:
        """End uses; a failure is logged: who used the volumes is gone.

        A plugin that hangs is not waited for longer than five seconds, and once: the rest goes on by itself.
        """
        fresh = {self._end_soon(use): use for use in uses if use.user not in self._ending}
        if not fresh:
            return
        _, late = await asyncio.wait(fresh, timeout=_PATIENCE)
        for task in late:
            _log.warning("volume %s: it takes long to be unmounted", fresh[task].volume)

    async def release(self, container: str) -> None:
        """End the uses of a container."""
        await self.unmount(*(use for use in self._mounted.all() if use.container == container))

    async def close(self) -> None:
        """Leave to the next daemon what is not unmounted by now."""
        tasks = list(self._ending.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def mark(self, running: set[str]) -> None:
        """Take the uses of all but these containers for what a former daemon left: called once, at boot."""
        self._left = [use for use in self._mounted.all() if use.container not in running]

    async def sweep(self, *, local: bool) -> None:
        """End the uses that were left; on this host, unmount what nobody is noted to use."""
        for use in self._left:
            volume = self._store.find(use.volume)
            of_host = volume is None or volume.driver == LOCAL
            if of_host is local:
                await self._end(use)
        for volume in self._store.all() if local else ():
            if volume.driver == LOCAL and not self._mounted.of(volume.name):
                await self._unmount(volume, "", last=True)

    async def _begin(self, use: Use, volume: Volume, driver: Driver) -> str:
        async with self._lock(use.volume):
            try:
                await self._mounted.add(use)
            except OSError as error:
                raise errdefs.SystemFailure(
                    f"cannot note that volume {volume.name} is mounted: {error}"
                ) from error
            faults.hit("volume.noted")
            try:
                return await driver.mount(volume, use.user)
            except errdefs.WherryError:
                await self._mounted.drop(use)
                raise

    def _end_soon(self, use: Use) -> asyncio.Task[None]:
        task = self._ending[use.user] = asyncio.get_running_loop().create_task(self._end(use))
        task.add_done_callback(lambda _: self._ending.pop(use.user))
        return task

    async def _end(self, use: Use) -> None:
        async with self._lock(use.volume):
            if use not in self._mounted.all():
                return
            volume = self._store.find(use.volume)
            others = [other for other in self._mounted.of(use.volume) if other != use]
            if volume is not None and not await self._unmount(volume, use.user, last=not others):
                return
            faults.hit("volume.unmounted")
            try:
                await self._mounted.drop(use)
            except OSError as error:
                _log.error("volume %s: that it is unmounted cannot be noted: %s", use.volume, error)

    async def _unmount(self, volume: Volume, user: str, *, last: bool) -> bool:
        """Whether nothing more can be done about it; failures are logged."""
        try:
            await self._drivers.of(volume.driver).unmount(volume, user, last=last)
        except errdefs.WherryError as error:
            _log.error("volume %s: %s", volume.name, error)
            return not isinstance(error, PluginAway)
        return True

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())
