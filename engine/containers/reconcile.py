"""At boot: what the database says is compared with what runs, and repaired."""

import asyncio
import logging
import math
import os
import shutil
import time

import msgspec

import errdefs
from engine.containers import files, linked, networking, restart_policy, shared_memory, sources
from engine.containers.container import Container
from engine.containers.exit import ended, last_run, release, restarting
from engine.containers.live import Live, Lives
from engine.containers.machinery import Machinery
from engine.containers.remove import remove
from engine.containers.start import runtime_of
from engine.containers.state import Status
from engine.containers.store import ContainerStore
from engine.containers.watch import Watcher
from engine.health import boot_order
from runtime import cgroups, mount
from runtime.task import Task
from runtime.task_values import Exit

_log = logging.getLogger(__name__)
LOST = 255
"""The exit code of a container of which nothing is left to tell how it ended: the host was restarted."""
AT_ONCE = 4
"""Containers that restart policies start at the same time at boot."""
_LOOK = 0.1
"""Seconds between two looks at a container that another waits for."""


class Reconciler:
    """Brings the containers of a former daemon into this one."""

    def __init__(self, machinery: Machinery, store: ContainerStore, lives: Lives, watcher: Watcher) -> None:
        self._machinery = machinery
        self._store = store
        self._lives = lives
        self._watcher = watcher
        self._to_start: list[str] = []
        self._found_ended: list[Container] = []  # as they ran
        self._to_remove: list[str] = []

    async def run(self) -> None:
        """Adopt what runs, record what ended, undo what was half done, and sweep what belongs to nothing."""
        # Ports of one whose disconnect was cut short may be another's by now.
        for container in sorted(self._store.all(), key=lambda each: each.reconnecting):
            try:
                await self._restore(container)
            except (errdefs.WherryError, OSError) as error:
                _log.error("container %s: %s", container.id[:12], error)
        await self._sweep()

    async def follow(self) -> None:
        """After the sweep: events of exits found, `--rm`, restart policies. The API serves meanwhile."""
        for ran in self._found_ended:
            await self._follow_exit(ran)
        for container_id in self._to_remove:
            await self._watcher.remove_ended(container_id, self._lives.of(container_id))
        limit = asyncio.Semaphore(AT_ONCE)
        needs = boot_order.needs(self._to_start, self._store.all())
        for container_id in self._to_start:
            live = self._lives.of(container_id)
            container = self._store.find(container_id)
            if container is not None and container.state.status is Status.RESTARTING:
                # A restart like any other: who stops, starts or removes it meanwhile calls it off.
                live.timer = self._lives.spawn(
                    self._start(container_id, live, limit, needs.get(container_id, [])),
                    f"start {container_id[:12]}",
                )

    async def _restore(self, container: Container) -> None:
        status = container.state.status
        if status in (Status.REMOVING, Status.DEAD):
            await remove(container, self._machinery, self._store, volumes=container.volumes_too)
            await self._watcher.removed(container, self._lives.of(container.id))
            return
        if container.running:
            await self._adopt(container)
        container = self._store.get(container.id)
        self._machinery.logs.begin(container, self._lives.of(container.id).ended)
        if not container.running and self._starts(container):
            await self._store.save_run(restarting(container))
            self._to_start.append(container.id)
        elif not container.running and container.host_config.auto_remove:
            self._to_remove.append(container.id)
        elif status is Status.RESTARTING:
            state = msgspec.structs.replace(container.state, status=Status.EXITED)
            await self._store.save(msgspec.structs.replace(container, state=state), durable=False)

    def _starts(self, container: Container) -> bool:
        return container.restart_wanted or restart_policy.starts_at_boot(
            container.host_config.restart_policy,
            last_run(container, self._lives.of(container.id)),
            ever_started=container.state.started_at > 0,
        )

    async def _adopt(self, container: Container) -> None:
        directory = self._machinery.state_dir(container.id, container.starts)
        runtime = runtime_of(container, self._machinery)
        found = await self._machinery.supervisor.adopt(container.id, directory, runtime)
        if isinstance(found, Task):
            await self._take_over(container, found)
            return
        if found is None:
            found = Exit(code=LOST, at=time.time_ns(), oom=False, reason="the host was restarted")
        try:
            await release(container.id, self._machinery)
        except (errdefs.WherryError, OSError) as error:
            _log.error("container %s: giving back what it held: %s", container.id[:12], error)
        await self._store.save_run(ended(container, found))
        self._found_ended.append(container)

    async def _take_over(self, container: Container, task: Task) -> None:
        live = self._lives.of(container.id)
        live.task = task
        live.ended.clear()
        self._watcher.watch(container.id, task)
        async with live.lock:
            await self._connect_again(container, task)
            container = self._store.get(container.id)
            if container.state.status is Status.RUNNING:
                self._watcher.monitors.resume(container, live)

    async def _connect_again(self, container: Container, task: Task) -> None:
        if container.sandbox_id:
            await self._adopt_network(container, task.pid)
        if container.to_go_on:
            await asyncio.to_thread(cgroups.thaw, task.pid)
        frozen = await asyncio.to_thread(cgroups.frozen, task.pid)
        status = Status.PAUSED if frozen else Status.RUNNING
        ports = self._machinery.network.bindings(container.id)
        passing = (
            container.stopped_by_user
            or container.restart_wanted
            or container.to_go_on
            or container.reconnecting
        )
        if passing or status is not container.state.status or ports != container.ports:
            # A stop that was cut short and outlived counts as none; what is frozen is known by the kernel.
            state = msgspec.structs.replace(container.state, status=status)
            await self._store.save(
                msgspec.structs.replace(
                    container,
                    state=state,
                    ports=ports,
                    stopped_by_user=False,
                    restart_wanted=False,
                    to_go_on=False,
                    reconnecting=False,
                ),
                durable=False,
            )

    async def _adopt_network(self, container: Container, pid: int) -> None:
        warnings = await self._machinery.network.adopt(
            container.id,
            pid,
            list(container.endpoints.values()),
            container.ports,
            sandbox_id=container.sandbox_id,
        )
        if container.reconnecting:
            await self._machinery.network.renew_routes(container.id)
            await files.settle_hosts(container, self._machinery)
        networking.name_servers(container, self._machinery)
        await linked.follow(container, self._machinery, self._store)
        for warning in warnings:
            _log.warning("container %s: %s", container.id[:12], warning)

    async def _sweep(self) -> None:
        """What runs, is mounted, connected or stored for no container goes."""
        running = {each.id for each in self._store.all() if each.running}
        swept = await self._machinery.supervisor.sweep(running)
        if swept:
            _log.info("ended %d containers that were half started", len(swept))
        await self._machinery.network.reconcile(running)
        await asyncio.to_thread(self._unmount_leftovers, running)
        await self._machinery.volumes.sweep(running)
        mounted = {point.snapshot for each in self._store.all() for point in each.mounts if point.snapshot}
        await self._machinery.snapshots.sweep({each.snapshot for each in self._store.all()} | mounted)
        await self._machinery.images.sweep()
        await asyncio.to_thread(self._remove_directories)

    def _unmount_leftovers(self, running: set[str]) -> None:
        root = self._machinery.config.exec_root / "containers"
        for name in _names(root):
            if name not in running:
                mount.unmount(root / name / "rootfs")
                shared_memory.unmount(root / name)
                shutil.rmtree(root / name, ignore_errors=True)
        for name in _names(self._machinery.bound("")):
            if name not in running:
                sources.unbind(self._machinery.bound(name))

    def _remove_directories(self) -> None:
        known = {each.id for each in self._store.all()}
        root = self._machinery.config.data_root / "containers"
        for name in _names(root):
            if name not in known:
                shutil.rmtree(root / name, ignore_errors=True)

    async def _follow_exit(self, ran: Container) -> None:
        container = self._store.find(ran.id)
        if container is not None:
            await self._watcher.announce_end(ran, container, self._lives.of(ran.id))

    async def _start(
        self, container_id: str, live: Live, limit: asyncio.Semaphore, needs: list[boot_order.Need]
    ) -> None:
        for need in needs:
            await self._come_up(need)
        async with limit:
            await self._watcher.start_by_policy(container_id, live)

    async def _come_up(self, need: boot_order.Need) -> None:
        """Wait until what a container depends on is as it should be, or has had its time."""
        other = self._store.find(need.container_id)
        if other is None:
            return
        for _ in range(math.ceil(boot_order.patience(need, other) / _LOOK)):
            if boot_order.met(need, self._store.find(need.container_id)):
                return
            await asyncio.sleep(_LOOK)
        _log.warning("container %s is not waited for any longer: %s", need.container_id[:12], need.condition)


def _names(directory: os.PathLike[str]) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
