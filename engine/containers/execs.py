"""Processes that are run in containers beside their first one (`docker exec`)."""

import asyncio
import time

import errdefs
from engine import ids
from engine.containers.announce import Announcer
from engine.containers.attach import Attachment, UntilOver, parse_detach_keys
from engine.containers.container import Container
from engine.containers.exec_process import Exec, ExecConfig, process_of, verify
from engine.containers.failure import exec_exit_code
from engine.containers.live import Live, Lives
from engine.containers.machinery import Machinery
from engine.containers.state import Action
from engine.containers.store import ContainerStore
from runtime.execs import ExecProcess
from runtime.task_values import Attach, ExecRequest

KEPT = 300.0
"""Seconds that an exec that is over can still be inspected."""
BEGIN_PATIENCE = 10.0
"""Seconds that a resize waits for the process, as in Docker."""
LIMIT = 10_000
"""Execs that are known at a time; more are refused, so that a loop of creates cannot fill memory."""


class Execs:
    """The execs of all containers. They live in memory: after a restart of the daemon none is known, as in Docker."""

    def __init__(
        self, machinery: Machinery, store: ContainerStore, lives: Lives, announcer: Announcer
    ) -> None:
        self._machinery = machinery
        self._store = store
        self._lives = lives
        self._announcer = announcer
        self._by_id: dict[str, Exec] = {}

    async def create(self, reference: str, config: ExecConfig) -> str:
        """Note what is to be run in a running container; returns the exec's ID."""
        container = self._store.get(reference)
        container.require(Action.EXEC)
        verify(config)
        if config.detach_keys:
            parse_detach_keys(config.detach_keys)
        self._machinery.supervisor.expect()
        self._forget_old()
        if len(self._by_id) >= LIMIT:
            raise errdefs.Conflict(f"{LIMIT} exec instances exist already: wait until some are over")
        process = Exec(ids.new_id(), container.id, config)
        self._by_id[process.id] = process
        await self._announcer.tell(container, f"exec_create: {process.command}", execID=process.id)
        return process.id

    def get(self, exec_id: str) -> Exec:
        """The exec with this full ID."""
        process = self._by_id.get(exec_id) or self._lives.probe(exec_id)
        if process is None:
            raise errdefs.NotFound(f"No such exec instance: {exec_id}")
        return process

    def of(self, container_id: str) -> list[str]:
        """The IDs of a container's execs that are not over."""
        asked = (each for each in self._by_id.values() if each.container_id == container_id)
        running = [each.id for each in asked if each.ended_at == 0]
        probe = self._lives.of(container_id).probe
        return running if probe is None else [*running, probe.id]

    async def start(
        self, exec_id: str, *, detach: bool = False, console_size: list[int] | None = None
    ) -> Attachment | None:
        """Run it; returns the client's hold of its stdio, None when detached."""
        process, container, live = self._startable(exec_id)
        self._machinery.supervisor.expect()
        config = process.config
        process.running = True
        attach = None
        if not detach:
            attach = Attach(
                stdin=config.attach_stdin, stdout=config.attach_stdout, stderr=config.attach_stderr
            )
        try:
            _, spec = await asyncio.gather(
                self._announcer.tell(container, f"exec_start: {process.command}", execID=process.id),
                process_of(container, config, self._machinery, console_size or config.console_size),
            )
            assert live.task is not None
            request = ExecRequest(
                id=process.id,
                process=spec,
                terminal=config.tty,
                open_stdin=config.attach_stdin and not detach,
                attach=attach,
            )
            running = await live.task.exec(request)
        except errdefs.WherryError as error:
            self._over(process, exec_exit_code(error.message))
            raise
        process.process, process.pid = running, running.pid
        process.begun.set()
        self._lives.spawn(self._watch(process, container, running), f"exec {process.id[:12]}")
        if running.stream is None:
            return None
        keys = parse_detach_keys(config.detach_keys) if config.tty and config.attach_stdin else None
        stream = UntilOver(running.stream, process.over)
        return Attachment(stream, terminal=config.tty, detach_keys=keys)

    def _startable(self, exec_id: str) -> tuple[Exec, Container, Live]:
        process = self.get(exec_id)
        container = self._store.get(process.container_id)
        container.require(Action.EXEC)
        if process.exit_code is not None:
            raise errdefs.Conflict(f"Error: Exec command {exec_id} has already run")
        if process.running:
            raise errdefs.Conflict(f"Error: Exec command {exec_id} is already running")
        live = self._lives.of(container.id)
        if live.task is None:
            raise errdefs.Conflict(f"container {container.id} is not running")
        return process, container, live

    async def resize(self, exec_id: str, height: int, width: int) -> None:
        """Set the terminal's size, in characters, if it has one. Waits for the process: clients ask early."""
        process = self.get(exec_id)
        try:
            async with asyncio.timeout(BEGIN_PATIENCE):
                await process.begun.wait()
        except TimeoutError:
            raise errdefs.Conflict("timeout waiting for exec session ready") from None
        if process.process is None:
            raise errdefs.InvalidArgument("exec process is not started")
        if process.config.tty:
            await process.process.resize(height, width)

    async def _watch(self, process: Exec, container: Container, running: ExecProcess) -> None:
        result = await running.wait()
        self._over(process, result.code)
        await self._announcer.tell(
            container, "exec_die", time_ns=result.at, execID=process.id, exitCode=str(result.code)
        )

    def _over(self, process: Exec, code: int) -> None:
        process.running, process.exit_code, process.pid = False, code, 0
        process.process, process.ended_at = None, time.monotonic()
        process.begun.set()
        process.over.set()

    def forget_container(self, container_id: str) -> None:
        """The container is gone, and its execs with it."""
        for exec_id in [each.id for each in self._by_id.values() if each.container_id == container_id]:
            self._by_id.pop(exec_id, None)

    def _forget_old(self) -> None:
        now = time.monotonic()
        for process in list(self._by_id.values()):
            container = self._store.find(process.container_id)
            never_run = not process.running and process.exit_code is None
            stale = process.ended_at and now - process.ended_at > KEPT
            if stale or container is None or (never_run and not container.running):
                self._by_id.pop(process.id, None)
