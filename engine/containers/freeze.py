"""Holding a running container still for a moment, so that its files can be read as they are at one time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

import errdefs
from engine import faults
from engine.containers.announce import Announcer
from engine.containers.container import Container
from engine.containers.live import Live
from engine.containers.state import Status
from engine.containers.store import ContainerStore
from runtime import cgroups

_replace = msgspec.structs.replace


@asynccontextmanager
async def frozen(
    container_id: str, live: Live, store: ContainerStore, announcer: Announcer
) -> AsyncIterator[None]:
    """Pause a container inside the block. One that does not run, or stands still already, is left as it is.

    The record says that it is to go on: should the daemon die meanwhile, the next one lets it.
    """
    held = await _freeze(container_id, live, store, announcer)
    try:
        yield
    finally:
        if held:
            await _thaw(container_id, live, store, announcer)


async def _freeze(container_id: str, live: Live, store: ContainerStore, announcer: Announcer) -> bool:
    async with live.lock:
        container = store.find(container_id)
        if container is None or container.state.status is not Status.RUNNING:
            return False
        await store.save_run(_with(container, Status.PAUSED, to_go_on=True))
        try:
            await asyncio.to_thread(cgroups.freeze, container.state.pid)
        except errdefs.NotFound:  # it is ending: what it writes, it has written
            await store.save_run(container)
            return False
        except BaseException:
            await store.save_run(container)
            raise
        faults.hit("commit.frozen")
    await announcer.tell(container, "pause")
    return True


async def _thaw(container_id: str, live: Live, store: ContainerStore, announcer: Announcer) -> None:
    async with live.lock:
        container = store.find(container_id)
        if container is None or not container.to_go_on:
            return  # it was removed, or a user has paused it
        goes_on = container.state.status is Status.PAUSED
        if goes_on:
            with suppress(errdefs.NotFound):  # it was killed meanwhile
                await asyncio.to_thread(cgroups.thaw, container.state.pid)
        status = Status.RUNNING if goes_on else container.state.status
        await store.save_run(_with(container, status, to_go_on=False))
    if goes_on:
        await announcer.tell(container, "unpause")


def _with(container: Container, status: Status, *, to_go_on: bool) -> Container:
    return _replace(container, state=_replace(container.state, status=status), to_go_on=to_go_on)
