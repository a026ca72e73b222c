"""Watching running containers: their end, what it gives back, and what follows from it."""

import asyncio
import logging
import time

import msgspec

import errdefs
from engine import faults
from engine.containers import bundle, linked
from engine.containers.announce import Announcer
from engine.containers.container import Container
from engine.containers.exit import after, ended, release, restarting
from engine.containers.failure import failed
from engine.containers.live import Live, Lives
from engine.containers.machinery import Machinery
from engine.containers.remove import remove
from engine.containers.start import start
from engine.containers.state import Status
from engine.containers.store import ContainerStore
from engine.health.monitor import Monitors
from engine.health.remedy import Remedy
from runtime.task import Task
from runtime.task_values import Exit

_log = logging.getLogger(__name__)


class Watcher:
    """Owns the consequences of an exit: release, record, events, auto-remove, restart."""

    def __init__(
        self, machinery: Machinery, store: ContainerStore, lives: Lives, announcer: Announcer
    ) -> None:
        self.monitors = Monitors(
            machinery, store, lives, announcer, Remedy(store, lives, announcer).unhealthy
        )
        self._machinery = machinery
        self._store = store
        self._lives = lives
        self._announcer = announcer
        self._closing = False

    def watch(self, container_id: str, task: Task) -> None:
        """See a running container to its end."""
        self._lives.spawn(self._see_to_the_end(container_id, task), f"watch {container_id[:12]}")

    def close(self) -> None:
        """No restart policy acts any more."""
        self._closing = True

    async def started(self, container: Container, live: Live) -> None:
        """A container runs: watch it and tell."""
        # At its true time: what ran for a moment has died before this is told.
        at = container.state.started_at
        await asyncio.gather(
            *self._arrivals("connect", "mount", container, at),
            self._announcer.tell(container, "start", time_ns=at),
        )
        if live.task is not None:
            self.watch(container.id, live.task)
            self.monitors.begin(container, live)

    async def given_back(self, live: Live) -> None:
        """Tell what a start that failed had got, and that it is given back."""
        got, live.got, now = live.got, None, time.time_ns()
        if got is None:
            return
        for networks, volumes in (("connect", "mount"), ("disconnect", "unmount")):
            await asyncio.gather(*self._arrivals(networks, volumes, got, now))

    async def _see_to_the_end(self, container_id: str, task: Task) -> None:
        exit_status = await task.wait()
        live = self._lives.of(container_id)
        async with live.lock:
            await self._give_back(container_id, task)
            faults.hit("exit.released")
            container = await self.record_exit(container_id, live, exit_status)
        await self.follow(container, live)

    async def _give_back(self, container_id: str, task: Task) -> None:
        """The run's network and root, and the runtime's state of it; a failure is logged and hinders nothing."""
        results = await asyncio.gather(
            release(container_id, self._machinery), task.gone(), return_exceptions=True
        )
        for failure in results:
            if isinstance(failure, BaseException):
                _log.error("container %s: giving back what it held: %s", container_id[:12], failure)
        if results[0] is None:
            return
        # The runtime's state is gone only now: a root that was still busy before is free.
        try:
            await self._machinery.snapshots.unmount(self._machinery.rootfs(container_id))
        except (errdefs.WherryError, OSError) as error:
            _log.error("container %s: its root is still mounted: %s", container_id[:12], error)

    async def record_exit(self, container_id: str, live: Live, exit_status: Exit) -> Container:
        """Commit the end of a run, and tell who waits. The caller holds the lock."""
        self.monitors.halt(live)
        ran = self._store.get(container_id)
        container = ended(ran, exit_status)
        if not self._closing and (delay := after(container, live)) is not None:
            live.last_delay = delay
            container = restarting(container)
        elif live.ailing:
            container = msgspec.structs.replace(container, restart_wanted=self._closing)
        live.ailments += live.ailing
        live.ailing = False
        saved = await self._store.save_run(container)
        faults.hit("exit.recorded")
        await linked.follow(container, self._machinery, self._store)
        if saved:  # else it tells the next daemon how the run ended
            await bundle.remove(self._machinery.bundle(container_id))
        live.task = None
        await self.announce_end(ran, container, live)
        return container

    def _arrivals(
        self, network_action: str, volume_action: str, container: Container, time_ns: int
    ) -> list[asyncio.Future[None]]:
        """Tell of a container that came to networks and volumes, or left them."""
        drivers = {each.name: each.driver for each in self._machinery.network.networks()}
        networks = [
            self._announcer.network(
                network_action, endpoint, drivers.get(endpoint.network, ""), time_ns=time_ns
            )
            for endpoint in container.endpoints.values()
        ]
        return [*networks, *self._announcer.volumes(volume_action, container, time_ns=time_ns)]

    async def announce_end(self, ran: Container, container: Container, live: Live) -> None:
        """Tell the world, and who waits, that a run is over; `ran` is the record of before."""
        telling = [self._announcer.oom(container)] if container.state.oom_killed else []
        telling += self._arrivals("disconnect", "unmount", ran, container.state.finished_at)
        telling.append(self._announcer.died(container))
        # Who stops it tells "stop" after that, and is answered before any of it is heard: compose up, which stops its
        # containers at ctrl-c, panics when it hears of the end of all of them while it waits for an answer.
        live.ended.set()
        await asyncio.gather(*telling)
        live.waits.ended(container.state.exit_code)

    async def follow(self, container: Container, live: Live) -> None:
        """What follows from an end: removal, a restart after the policy's delay, or nothing."""
        if self._closing or live.restarting_by_user:
            return
        if container.state.status is Status.RESTARTING:
            self.restart_later(container.id, live, live.last_delay)
        elif container.host_config.auto_remove:
            await self.remove_ended(container.id, live)

    async def remove_ended(self, container_id: str, live: Live) -> None:
        """`--rm`: the container is over, and goes. A failure is told to who waits for the removal."""
        async with live.lock:
            container = self._store.find(container_id)
            if container is None or container.running or live.removing:
                return
            try:
                await remove(container, self._machinery, self._store, volumes=True)
            except errdefs.WherryError as error:
                _log.error("container %s: auto-remove: %s", container_id[:12], error)
                live.waits.removed(container.state.exit_code, error.message)
                return
        await self.removed(container, live)

    async def removed(self, container: Container, live: Live) -> None:
        """A container is gone: tell."""
        live.let_go()
        await self._announcer.tell(container, "destroy")
        live.waits.removed(container.state.exit_code)
        self._lives.forget(container.id)

    def restart_later(self, container_id: str, live: Live, delay: float) -> None:
        """Start a container again, after its policy's delay in seconds."""
        live.timer = self._lives.spawn(
            self._restart(container_id, live, delay), f"restart {container_id[:12]}"
        )

    async def _restart(self, container_id: str, live: Live, delay: float) -> None:
        await asyncio.sleep(delay)
        await self.start_by_policy(container_id, live)

    async def start_by_policy(self, container_id: str, live: Live) -> None:
        """Start a container again; a failure is logged, and the policy decides once more."""
        async with live.lock:
            live.timer = None
            container = self._store.find(container_id)
            if self._closing or container is None or container.running or live.removing:
                return
            container = msgspec.structs.replace(container, stopped_by_user=False, restart_wanted=False)
            try:
                container = await start(container, live, self._machinery, self._store)
            except errdefs.WherryError as error:
                _log.warning("container %s: restart: %s", container_id[:12], error)
                await self._failed_again(container, live, error)
                return
        await self.started(container, live)

    async def _failed_again(self, container: Container, live: Live, error: errdefs.WherryError) -> None:
        """A start that failed is an exit like another: the policy decides again."""
        container = failed(container, error, live.got)
        delay = after(container, live)
        if delay is not None:
            container = restarting(container)
            live.last_delay = delay
        await self._store.save_run(container)
        await self.given_back(live)
        live.let_go()
        live.waits.ended(container.state.exit_code)
        if delay is not None:
            self.restart_later(container.id, live, delay)
