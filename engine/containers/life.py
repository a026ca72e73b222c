"""The verbs of a container's life: it starts, stops, freezes, and is removed."""

from signal import SIGKILL

import msgspec

import errdefs
from engine import faults
from engine.containers.container import Container
from engine.containers.door import Door
from engine.containers.failure import failed
from engine.containers.group import on_group
from engine.containers.kill import kill, means_end
from engine.containers.live import Live
from engine.containers.remove import remove
from engine.containers.signals import parse_signal
from engine.containers.start import start
from engine.containers.starting import PATIENCE
from engine.containers.state import Action, Status, refusal
from engine.containers.stop import await_end, kill_for_good, patience, stop
from engine.containers.unlink import split, unlink
from engine.health.health import unwatched
from runtime import cgroups

_replace = msgspec.structs.replace


class Life(Door):
    """Starting, ending and removing containers: each finds its container, takes its lock, and calls the verb."""

    async def start(self, reference: str) -> None:
        """Start a container; NotModified if it runs."""
        async with self._locked(reference) as (container, live):
            container.require(Action.START)
            if live.removing:  # else a removal by force would have to win against every start
                raise refusal(Action.START, Status.REMOVING, container.id, container.name)
            live.cancel_timer()
            live.last_delay = 0.0
            container = _replace(container, stopped_by_user=False, restart_wanted=False, restart_count=0)
            await self._start(container, live)

    async def _start(self, container: Container, live: Live) -> None:
        try:
            running = await start(container, live, self._machinery, self._store)
        except errdefs.WherryError as error:
            await self._start_failed(failed(container, error, live.got), live)
            raise
        await self._watcher.started(running, live)

    async def _start_failed(self, container: Container, live: Live) -> None:
        """The record tells why; the clients that were parked are let go; `--rm` still means it."""
        live.let_go()
        await self._store.save_run(container)
        await self._watcher.given_back(live)
        live.waits.ended(container.state.exit_code)
        if container.host_config.auto_remove and not live.restarting_by_user:
            await remove(container, self._machinery, self._store, volumes=True)
            await self._watcher.removed(container, live)

    async def stop(self, reference: str, *, signal: str = "", timeout: int | None = None) -> None:
        """Stop a container, with patience in seconds before SIGKILL; NotModified if it does not run."""
        container = self._store.get(reference)
        if self._lives.of(container.id).starting is None:
            container.require(Action.STOP)
        if signal:
            parse_signal(signal)
        seconds = patience(container, timeout)  # of which a start gets some, even if a run gets none
        await self._end_start(container.id, None if seconds is None else max(seconds, PATIENCE))
        container = self._store.get(container.id)
        container.require(Action.STOP)
        container, live = await self._meant_to_end(container.id, Action.STOP)
        if container.running:
            await stop(container, live, self._announcer, signal_name=signal, timeout=timeout)
        self._announcer.tell(container, "stop")  # see Watcher.announce_end

    async def _meant_to_end(self, reference: str, action: Action) -> tuple[Container, Live]:
        """The container, from now on marked as stopped by a user; a pending restart is called off."""
        async with self._locked(reference) as (container, live):
            container.require(action)
            container = _replace(container, stopped_by_user=True)
            container = _replace(container, restart_wanted=live.restarting_by_user > 0)
            container = await self._call_off(container, live)
        return container, live

    async def _end_start(self, container_id: str, seconds: float | None) -> bool:
        """Let a start that is under way come to its end for so long; whether it had to be called off."""
        starting = self._lives.of(container_id).starting
        return starting is not None and await starting.settle(seconds)

    async def _call_off(self, container: Container, live: Live) -> Container:
        """Save that the container is meant to end; a pending restart will not be. The lock is held."""
        live.cancel_timer()
        if container.state.status is Status.RESTARTING:
            container = _replace(container, state=_replace(container.state, status=Status.EXITED))
        await self._store.save_run(container, durable=True)
        faults.hit("stop.marked")
        if not container.running:
            live.waits.ended(container.state.exit_code)
        return container

    async def restart(self, reference: str, *, signal: str = "", timeout: int | None = None) -> None:
        """Stop a container if it runs, and start it."""
        container = self._store.get(reference)
        live = self._lives.of(container.id)
        live.restarting_by_user += 1
        try:
            if container.running or container.state.status is Status.RESTARTING:
                await self.stop(container.id, signal=signal, timeout=timeout)
                faults.hit("restart.stopped")
            await self.start(container.id)
        finally:
            live.restarting_by_user -= 1
        await self._announcer.tell(self._store.get(container.id), "restart")

    async def kill(self, reference: str, signal: str = "") -> None:
        """Send a signal; Conflict if the container does not run. SIGKILL, the default, waits for the end."""
        number = parse_signal(signal or "SIGKILL")
        if number == SIGKILL and await self._end_start(self._store.get(reference).id, PATIENCE):
            return
        async with self._locked(reference) as (container, live):
            if not container.running and container.state.status is not Status.RESTARTING:
                raise errdefs.Conflict(
                    f"cannot kill container: {reference}: container {container.id} is not running"
                )
            if means_end(container, number):
                container = await self._call_off(_replace(container, stopped_by_user=True), live)
            task = live.task
            await kill(container, live, self._announcer, number)
        if number == SIGKILL:
            await await_end(container, live, task)

    async def pause(self, reference: str) -> None:
        """Freeze every process of a running container."""
        await self._freeze(reference, Action.PAUSE, Status.PAUSED)

    async def unpause(self, reference: str) -> None:
        """Let a frozen container go on."""
        await self._freeze(reference, Action.UNPAUSE, Status.RUNNING)

    async def _freeze(self, reference: str, action: Action, status: Status) -> None:
        async with self._locked(reference) as (container, live):
            container.require(action)
            act = cgroups.freeze if action is Action.PAUSE else cgroups.thaw
            await on_group(act, container)
            faults.hit("pause.frozen")
            health = container.state.health
            if action is Action.PAUSE and self._watcher.monitors.halt(live):
                health = unwatched(health)
            state = _replace(container.state, status=status, health=health)
            container = _replace(container, state=state, to_go_on=False)
            await self._store.save_run(container)
            if action is Action.UNPAUSE:
                self._watcher.monitors.begin(container, live)
        await self._announcer.tell(container, action.value)

    async def remove(
        self,
        reference: str,
        *,
        force: bool = False,
        volumes: bool = False,
        link: bool = False,
    ) -> None:
        """Remove a container; with `force` also one that runs. Anonymous volumes go with `volumes`.

        With `link` the reference is "parent/alias", and that link alone goes.
        """
        container = self._store.get(reference)
        if link:
            await self._unlink(*split(reference))
            return
        live = self._lives.of(container.id)
        if live.removing:
            raise refusal(Action.REMOVE, Status.REMOVING, container.id, container.name)
        live.removing = True
        try:
            if force:
                await self._end_by_force(container)
            async with self._locked(container.id) as (container, live):
                container.require(Action.REMOVE)
                await remove(container, self._machinery, self._store, volumes=volumes)
        finally:
            live.removing = False
        await self._watcher.removed(container, live)

    async def _unlink(self, parent: str, alias: str) -> None:
        async with self._locked(parent) as (container, _):
            await unlink(container, alias, self._machinery, self._store)

    async def _end_by_force(self, container: Container) -> None:
        if container.state.status is Status.DEAD:  # a removal failed half way: there is nothing to end
            return
        await self._end_start(container.id, PATIENCE)
        try:
            container, live = await self._meant_to_end(container.id, Action.STOP)
        except errdefs.NotModified:
            return
        if container.running:
            await kill_for_good(container, live, self._announcer)
