"""Stopping a container: its signal, then patience, then SIGKILL."""

import asyncio
import signal

import errdefs
from engine.containers.announce import Announcer
from engine.containers.container import Container
from engine.containers.kill import kill
from engine.containers.live import Live
from engine.containers.signals import parse_signal
from runtime.task import Task

DEFAULT_TIMEOUT = 10
"""Seconds between the stop signal and SIGKILL, where neither request nor container say."""
KILL_PATIENCE = 10.0
"""Seconds that the kernel gets to end a killed process before it is called stuck."""


async def stop(
    container: Container,
    live: Live,
    announcer: Announcer,
    *,
    signal_name: str = "",
    timeout: int | None = None,
) -> None:
    """End the run and wait until all that it held is given back.

    `timeout` is seconds; negative waits without end. The caller does not hold the lock: the end needs it.
    """
    number = parse_signal(signal_name or container.config.stop_signal or "SIGTERM")
    task = live.task
    await kill(container, live, announcer, number)
    if not await ends_within(live, task, patience(container, timeout)):
        await kill_for_good(container, live, announcer)


def patience(container: Container, timeout: int | None) -> float | None:
    """Seconds to wait, None for ever."""
    if timeout is None:
        timeout = container.config.stop_timeout
    if timeout is None:
        timeout = DEFAULT_TIMEOUT
    return None if timeout < 0 else float(timeout)


async def ends_within(live: Live, task: Task | None, seconds: float | None) -> bool:
    """Whether the run that `task` is, is over, all given back, before the time is up; another may follow it."""
    if live.task is not task:
        return True
    try:
        await asyncio.wait_for(live.ended.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def kill_for_good(container: Container, live: Live, announcer: Announcer) -> None:
    """SIGKILL, and wait for the end; Conflict if the kernel does not let go of the process."""
    task = live.task
    await kill(container, live, announcer, signal.SIGKILL)
    await await_end(container, live, task)


async def await_end(container: Container, live: Live, task: Task | None) -> None:
    """Wait for the end of a container that was killed; Conflict if the kernel does not let go of the process."""
    if not await ends_within(live, task, KILL_PATIENCE):
        raise errdefs.Conflict(
            f"container {container.id} PID {container.state.pid} was killed and does not end: "
            "it may be waiting for a disk or network file system"
        )
