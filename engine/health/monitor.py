"""Watching over the health of running containers: probes at their times, and what their results lead to."""

import asyncio
import time
from collections.abc import Callable

import msgspec

from engine import faults
from engine.containers.announce import Announcer
from engine.containers.container import Container
from engine.containers.live import Live, Lives
from engine.containers.machinery import Machinery
from engine.containers.state import Status
from engine.containers.store import ContainerStore
from engine.health.health import Check, Health, HealthStatus, Result, after
from engine.health.probe import Prober, confinement

_replace = msgspec.structs.replace
NANOSECOND = 1e-9


class Monitors:
    """One monitor for each running container that is to be probed; `live.monitor` is its task."""

    def __init__(
        self,
        machinery: Machinery,
        store: ContainerStore,
        lives: Lives,
        announcer: Announcer,
        unhealthy: Callable[[Container], None],
    ) -> None:
        """`unhealthy` is called for each probe that finds, or leaves, a container unhealthy."""
        self._machinery = machinery
        self._store = store
        self._lives = lives
        self._announcer = announcer
        self._prober = Prober(machinery, lives, announcer)
        self._unhealthy = unhealthy

    def begin(self, container: Container, live: Live) -> None:
        """Probe a container that was started or woken just now, if it has a check."""
        self._begin(container, live, lambda check, health: check.pause(health, _ran(container)))

    def resume(self, container: Container, live: Live) -> None:
        """Go on probing a container that runs since a former daemon, if it has a check."""
        self._begin(container, live, lambda check, health: _until_next(container, check, health))

    def _begin(self, container: Container, live: Live, first: Callable[[Check, Health], int]) -> None:
        check, health = Check.of(container.config), container.state.health
        if check is None or health is None:
            return
        self.halt(live)
        live.monitor = self._lives.spawn(
            self._watch(container.id, live, check, first(check, health)), f"health {container.id[:12]}"
        )

    def halt(self, live: Live) -> bool:
        """Probe it no more; a probe that runs is of no interest. Whether there was a monitor."""
        monitor, live.monitor = live.monitor, None
        if monitor is None:
            return False
        monitor.cancel()
        if live.task is not None:
            self._lives.spawn(live.task.unprobe(), "call off a probe")
        return True

    async def _watch(self, container_id: str, live: Live, check: Check, pause: int) -> None:
        confined = await asyncio.to_thread(confinement, self._machinery.bundle(container_id))
        while True:
            await asyncio.sleep(pause * NANOSECOND)
            container = self._store.find(container_id)
            if container is None or live.task is None:
                return
            result = await self._prober.run(container, live, live.task, check, confined)
            health = await self._record(container_id, live, check, result)
            if health is None:
                return
            pause = check.pause(health, _ran(container))

    async def _record(self, container_id: str, live: Live, check: Check, result: Result) -> Health | None:
        """Take a result into the record; None if the container is not to be probed any more."""
        async with live.lock:
            container = self._store.find(container_id)
            if container is None or container.state.status is not Status.RUNNING or live.monitor is None:
                return None
            former = container.state.health or Health()
            health = after(former, check, result, container.state.started_at)
            container = _replace(container, state=_replace(container.state, health=health))
            if (former.status, former.failing_streak) == (health.status, health.failing_streak):
                self._store.show(container)
            else:
                await self._store.save_run(container)
                faults.hit("health.recorded")
        if former.status is not health.status:
            await self._announcer.tell(container, f"health_status: {health.status}")
        if health.status is HealthStatus.HEALTHY:
            live.ailments = 0
        elif health.status is HealthStatus.UNHEALTHY:
            self._unhealthy(container)
        return health


def _ran(container: Container) -> int:
    return time.time_ns() - container.state.started_at


def _until_next(container: Container, check: Check, health: Health) -> int:
    """The time until the next probe, after the last one of this run that is known."""
    last = health.log[-1].end if health.log else 0
    since = time.time_ns() - max(container.state.started_at, last)
    return max(0, check.pause(health, _ran(container)) - max(0, since))
