"""Ending every container because the host goes down, or because the user said so to the daemon."""

import asyncio
import logging

import errdefs
from engine.containers.announce import Announcer
from engine.containers.container import Container
from engine.containers.live import Lives
from engine.containers.stop import DEFAULT_TIMEOUT, stop
from engine.containers.store import ContainerStore

_log = logging.getLogger(__name__)


async def stop_all(store: ContainerStore, lives: Lives, announcer: Announcer, timeout: int) -> None:
    """Stop all that runs, at the same time, each with its signal and patience; then SIGKILL.

    `timeout` is seconds for all of it, negative for as long as it takes. It is no stop by a user: the restart
    policies bring the containers back at the next boot.
    """
    running = [container for container in store.all() if container.running]
    longest = max((_patience(container) for container in running), default=0)
    limit = None if timeout < 0 else max(timeout, longest)
    async with asyncio.TaskGroup() as group:
        for container in running:
            group.create_task(_stop(container, lives, announcer, limit))


def _patience(container: Container) -> int:
    own = container.config.stop_timeout
    return DEFAULT_TIMEOUT if own is None else max(own, 0)


async def _stop(container: Container, lives: Lives, announcer: Announcer, limit: int | None) -> None:
    own = container.config.stop_timeout
    timeout = limit if own is not None and own < 0 and limit is not None else None
    try:
        await stop(container, lives.of(container.id), announcer, timeout=timeout)
    except errdefs.WherryError as error:
        _log.error("container %s: %s", container.id[:12], error)
