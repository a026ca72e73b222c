"""Sending a signal to a container."""

import asyncio
import logging
import signal

import errdefs
from engine.containers.announce import Announcer
from engine.containers.container import Container
from engine.containers.live import Live
from engine.containers.signals import parse_signal
from engine.containers.state import Status
from runtime import cgroups

_log = logging.getLogger(__name__)

ENDING = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
"""Signals by which a user means an end: no restart policy may undo them."""


def means_end(container: Container, number: int) -> bool:
    """Whether this signal asks the container to end."""
    stop_signal = container.config.stop_signal
    return number in ENDING or (bool(stop_signal) and number == parse_signal(stop_signal))


async def kill(container: Container, live: Live, announcer: Announcer, number: int) -> None:
    """Signal the first process, and tell; a paused container is thawed by a signal that means its end.

    What else is left in a container that has not its own PIDs ends with the runtime's delete. Whoever does not hold
    the lock signals the run that there is now, and not another one that begins meanwhile.
    """
    task = live.task
    if task is None:
        return
    frozen = container.state.status is Status.PAUSED and means_end(container, number)
    # Looked up before: a process that is ending is in no group of its own any more.
    group = await asyncio.to_thread(_group, container.state.pid) if frozen else None
    await announcer.tell(container, "kill", signal=str(number))
    await task.kill(number)
    if group is not None:
        await asyncio.to_thread(group.thaw)
        await announcer.tell(container, "unpause")


def _group(pid: int) -> cgroups.Cgroup | None:
    """The group of a frozen container; None when an earlier signal has woken or ended it by now."""
    try:
        group = cgroups.of(pid)
        return group if group.frozen() else None
    except errdefs.WherryError as error:
        _log.debug("process %d has no group to thaw: %s", pid, error)
        return None
