"""Removing a container."""

import asyncio
import shutil
from contextlib import suppress

import msgspec

import errdefs
from engine.containers import image_mounts, mounted
from engine.containers.container import Container
from engine.containers.machinery import Machinery
from engine.containers.state import Status
from engine.containers.store import ContainerStore
from engine.undo import Undo
from engine.volumes.use import discard_unused
from runtime.settled import settled
from volumes.mount_point import VOLUME

STEPS = ("mark", "snapshot", "directory", "volumes", "delete")


async def remove(container: Container, machinery: Machinery, store: ContainerStore, *, volumes: bool) -> None:
    """Remove a stopped container for good, with `volumes` also its anonymous volumes that no other container uses.

    It is marked first: whatever ends the daemon in between, the next one goes on removing. There is no way back, so
    no step has an inverse; a step that fails leaves the container dead, to be removed again.
    """
    container = msgspec.structs.replace(container, volumes_too=volumes)
    state = msgspec.structs.replace(container.state, status=Status.REMOVING)
    # On a full disk it goes on unmarked: what it removes makes room.
    await store.save_run(msgspec.structs.replace(container, state=state), durable=True)
    async with Undo("remove", STEPS) as undo:
        undo.step("mark", lambda: _mark_dead(container, store))
        await settled(mounted.unmount, container.id, machinery)
        with suppress(errdefs.NotFound):  # by a removal that was cut short
            await _remove_snapshot(container, machinery)
        await machinery.volumes.release(container.id)
        await image_mounts.remove(container, machinery)
        undo.step("snapshot")
        await machinery.logs.finish(container.id)
        await asyncio.to_thread(_remove_directories, container, machinery)
        undo.step("directory")
        if volumes:
            names = [point.name for point in container.mounts if point.type == VOLUME and point.anonymous]
            await discard_unused(names, container.id, machinery.volumes)
        undo.step("volumes")
        await store.delete(container)
        undo.step("delete")
        undo.done()
    await machinery.images.touch(container.image_id)


async def _remove_snapshot(container: Container, machinery: Machinery) -> None:
    """Also the layers below it, where their image was removed by force and this was their last user."""
    parent = machinery.snapshots.info(container.snapshot).parent
    await machinery.snapshots.remove(container.snapshot)
    if parent:
        await machinery.images.release(parent)


def _remove_directories(container: Container, machinery: Machinery) -> None:
    for directory in (machinery.files(container.id), machinery.bundle(container.id)):
        shutil.rmtree(directory, ignore_errors=True)


async def _mark_dead(container: Container, store: ContainerStore) -> None:
    state = msgspec.structs.replace(container.state, status=Status.DEAD)
    await store.save_run(msgspec.structs.replace(container, state=state), durable=True)
