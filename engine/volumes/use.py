"""The volumes of a container: taken when it is created, kept with it or given back, and removed with it."""

import asyncio
import logging

import msgspec

import errdefs
from engine import ids
from engine.volumes import copy_up
from engine.volumes.volumes import Volumes
from runtime.settled import settled
from volumes.mount_point import MountPoint
from volumes.volume import ANONYMOUS, LOCAL, Phase, Volume

_log = logging.getLogger(__name__)


class Taking:
    """What one container that is being created takes: `take` and `fill`, then `keep` or `give_back`."""

    def __init__(self, volumes: Volumes, container_id: str) -> None:
        self._volumes = volumes
        self._container_id = container_id
        self._taken: list[str] = []

    async def take(self, point: MountPoint) -> MountPoint:
        """The mount point with its volume, which is made if it is not there; nobody can remove it from now on.

        NotFound for a driver that is not there, InvalidArgument for options that mean nothing, all as Docker's.
        """
        labels = dict(point.labels) or None
        name = point.name
        if not name:
            name, labels = ids.new_id(), {**point.labels, ANONYMOUS: ""}
        driver = point.driver or ("" if point.name else LOCAL)
        options = dict(point.driver_options) or None
        async with self._volumes.locked(name):
            volume = await self._volumes.ensure(name, driver, options, labels, Phase.NEW)
            self._volumes.hold(name, self._container_id)
            self._taken.append(name)
        mode = "" if volume.driver != LOCAL and not point.driver else point.mode  # labels are for local ones
        return msgspec.structs.replace(
            point, name=name, driver=volume.driver, mode=mode, source=self._volumes.mountpoint(volume)
        )

    async def fill(self, point: MountPoint, root: int) -> None:
        """Copy what a root, by its descriptor, has at the destination into the volume, if that is empty."""
        if not await asyncio.to_thread(copy_up.has_content, root, point.destination):
            return
        async with self._volumes.locked(point.name), self._volumes.using(point.name) as path:
            if not await asyncio.to_thread(copy_up.is_empty, path):
                return
            volume = self._volumes.get(point.name)
            if volume.phase is Phase.SETTLED and self._volumes.is_plain(volume):
                await self._volumes.save(msgspec.structs.replace(volume, phase=Phase.FILLING))
            await settled(copy_up.fill, root, point.destination, path)

    async def keep(self) -> None:
        """The container is stored: its volumes are there to stay."""
        for name in self._taken:
            async with self._volumes.locked(name):
                self._volumes.let_go(name, self._container_id)
                volume = self._volumes.find(name)
                if volume is not None and volume.phase in (Phase.NEW, Phase.FILLING):
                    await self._settle(volume)

    async def _settle(self, volume: Volume) -> None:
        """Not waited for, and no failure: should it be lost, the next boot finds the container that uses the volume."""
        try:
            await self._volumes.save(msgspec.structs.replace(volume, phase=Phase.SETTLED), durable=False)
        except errdefs.SystemFailure as error:
            _log.error("volume %s: its state is not stored: %s", volume.name, error)

    async def give_back(self) -> None:
        """The container will never be: what was made or filled for it alone is as it was before."""
        for name in self._taken:
            async with self._volumes.locked(name):
                self._volumes.let_go(name, self._container_id)
                volume = self._volumes.find(name)
                if volume is not None and not self._volumes.users_of(name):
                    await self._undo(volume)

    async def _undo(self, volume: Volume) -> None:
        if volume.phase is Phase.NEW:
            await self._volumes.discard(volume)
        elif volume.phase is Phase.FILLING:
            async with self._volumes.using(volume.name) as path:
                await asyncio.to_thread(copy_up.empty, path, self._volumes.owner)
            await self._volumes.save(msgspec.structs.replace(volume, phase=Phase.SETTLED), durable=False)


async def discard_unused(names: list[str], container_id: str, volumes: Volumes) -> None:
    """Remove volumes that nobody but a container that goes uses; what cannot be removed stays, and is logged."""
    for name in names:
        async with volumes.locked(name):
            volume = volumes.find(name)
            if volume is None or set(volumes.users_of(name)) - {container_id}:
                continue
            try:
                await volumes.discard(volume)
            except errdefs.WherryError as error:
                _log.warning("container %s: its volume %s stays: %s", container_id[:12], name, error)
