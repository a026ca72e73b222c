"""The supervisor creates containers through shims, finds them again after a restart, and ends what is left
of any.

    supervisor = await Supervisor.open(Path("/run/wherry"))
    task = await supervisor.create(request, exec_root / "containers" / request.id / "1")
    await task.start()
    exit_ = await task.wait()
    await task.gone()
"""

import asyncio
import os
import shutil
import signal
import struct
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from socket import SO_PEERCRED, SOL_SOCKET, socket
from typing import Any

from errdefs import SystemFailure, WherryError
from runtime import leftovers, runc
from runtime.cgroups import Moves
from runtime.runc import Runc
from runtime.shim.order import Order
from runtime.shim_client import RefusedError, ShimLostError, connect
from runtime.spawn import ENVIRONMENT, keep_descriptors_private, open_many_files
from runtime.starts import SHIM_DIED, Start, Starts, resolve
from runtime.task import Task
from runtime.task_values import EXIT_KILLED, Exit, Runtime, TaskRequest
from runtime.zygote import Zygote

_ANSWER = 30.0  # seconds in which a shim must say hello; `runc create` may be in the way
_TRIES = 4
_GRACE = 1.0  # seconds in which a create that is given up may come to its end
_PAUSE = 0.05  # seconds, and more each time: a zygote in its last moment still takes an order
_REHEARSAL = "rehearsal-"


class Supervisor:
    """One for an exec root. `close` leaves shims and containers alive."""

    def __init__(self, exec_root: Path, *, memfd: bool, faults: str) -> None:
        """Use `open`."""
        self._exec_root = exec_root
        self._runc = Runc(exec_root / "runc")
        self._starts = Starts(exec_root, self._runc)
        binary = shutil.which("runc", path=ENVIRONMENT["PATH"]) or "runc"
        rehearsal = exec_root / f"{_REHEARSAL}{os.getpid()}"  # that of a killed daemon may be in use yet
        self._zygote = Zygote(binary if memfd else "", str(rehearsal), open_many_files(), faults)
        self._moves = Moves()
        self._tasks: set[Task] = set()
        self._background: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, exec_root: Path, *, memfd: bool = True, faults: str = "") -> "Supervisor":
        """Make the directories and start the zygote. Raises OSError, SystemFailure.

        `memfd=False`: runc is executed by its path. `faults`: see runtime.shim.faults; for tests.
        """
        exec_root = await asyncio.to_thread(_prepare, exec_root)
        supervisor = cls(exec_root, memfd=memfd, faults=faults)
        supervisor._zygote.start()
        return supervisor

    @property
    def zygote_pid(self) -> int:
        """The pid of the present zygote, 0 when there is none."""
        return self._zygote.pid

    def expect(self) -> None:
        """Say that a container will be created, or an exec started, within some ms: the kernel then is ready."""
        self._moves.expect()

    async def create(self, request: TaskRequest, state_dir: Path) -> Task:
        """Create the container; its process waits for `Task.start`. `state_dir` is new, and its parent the
        bundle.

        Raises InvalidArgument or SystemFailure with the runtime's text, as dockerd words it; then, and when
        the caller is cancelled, nothing is left behind.
        """
        start = Start(request.id, state_dir, resolve(request.runtime))
        order = _order(request, start, self._runc.root)
        start.make_state_dir()  # on the loop: a cancelled thread would make it after it was removed
        try:
            task = await self._launch(order, start)
        except BaseException:
            await self._finish(self._starts.remove(start))
            raise
        self._watch(task)
        return task

    async def _launch(self, order: Order, start: Start) -> Task:
        """Have a shim create the container; a shim that was never born, its zygote having died, is asked for
        again.
        """
        for attempt in range(_TRIES):
            task = self._task(start, terminal=order.terminal)
            task.connect(await self._zygote.order(order))
            try:
                await task.created()
                return task
            except RefusedError as error:
                await task.left()
                task.disconnect()
                log = await runc.read_log(start.state_dir / "runc.log")
                raise runc.create_error(log, error.code, error.text, start.runtime.path) from None
            except ShimLostError:
                if attempt < _TRIES - 1 and task.shim_pid == 0:
                    await self._starts.remove(start)
                    await asyncio.sleep(_PAUSE * attempt)
                    start.make_state_dir()
                    continue
                raise SystemFailure(f"cannot create container {start.id}: its shim died") from None
            except asyncio.CancelledError:
                await self._finish(self._give_up(task))
                raise
        raise AssertionError("unreachable")

    async def _give_up(self, task: Task) -> None:
        """End what a cancelled create has begun, whatever comes of it.

        A runtime that hangs, or what it waits for, is left to `Starts.remove`, which kills it together with its shim.
        """
        try:
            async with asyncio.timeout(_GRACE):
                with suppress(RefusedError, ShimLostError):
                    await task.created()
                    await task.kill(signal.SIGKILL)
                await task.left()
        except TimeoutError:
            pass
        task.disconnect()

    async def adopt(self, id: str, state_dir: Path, runtime: Runtime) -> Task | Exit | None:  # noqa: A002
        """Find what an earlier daemon started: a Task when its shim lives, an Exit when it has ended.

        None: nothing ever ran there. A container whose shim died is killed (137, and the reason). After an
        Exit or None nothing of it is left in the kernel. Raises SystemFailure when something cannot be ended.
        """
        start = Start(id, state_dir, resolve(runtime))
        try:
            sock = await connect(state_dir)
        except ShimLostError:
            return await self._starts.end(start, started=None)
        task = self._task(start, terminal=False)
        shim_pid = _peer(sock)
        task.connect(sock)
        try:
            async with asyncio.timeout(_ANSWER):
                await task.greet()
        except ShimLostError:
            return await self._starts.end(start, started=None)
        except TimeoutError:
            await asyncio.to_thread(leftovers.kill, [shim_pid])
            task.disconnect()
            return await self._starts.end(start, started=None)
        if task.failed:
            await task.left()
            return await self._starts.end(start, started=None)
        self._watch(task)
        return task

    async def sweep(self, keep: set[str]) -> list[str]:
        """End all that lives under the exec root for ids not in `keep`, and return those ids.

        Also found are containers whose directories are gone. Bundles and mounts are not touched.
        """
        ended: list[str] = []
        for start in await asyncio.to_thread(self._starts.found):
            if start.id in keep:
                continue
            found = await self.adopt(start.id, start.state_dir, start.runtime)
            if isinstance(found, Task):
                await found.kill(signal.SIGKILL)
                await found.gone()
            await self._starts.remove(start)
            ended.append(start.id)
        return sorted(set(ended))

    async def update(self, id: str, runtime: Runtime, resources: dict[str, Any]) -> None:  # noqa: A002
        """Change the limits of a running container; see `Runc.update`."""
        await self._runc.update(resolve(runtime), id, resources)
        for task in [each for each in self._tasks if each.id == id]:
            await task.updated(resources)

    async def close(self) -> None:
        """Let go: the zygote ends, shims and containers live on."""
        for background in self._background:
            background.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        for task in self._tasks:
            task.disconnect()
        self._tasks.clear()
        await self._zygote.close()
        await asyncio.to_thread(self._moves.close)

    def _task(self, start: Start, *, terminal: bool) -> Task:
        return Task(
            id=start.id,
            state_dir=start.state_dir,
            runtime=start.runtime,
            terminal=terminal,
            on_lost=self._shim_died,
        )

    def _watch(self, task: Task) -> None:
        """Hold the task until it is gone."""
        self._tasks.add(task)

        async def release() -> None:
            await task.gone()
            await task.parted()
            self._tasks.discard(task)

        self._hold(release())

    def _shim_died(self, task: Task) -> None:
        self._hold(self._settle(task))

    async def _settle(self, task: Task) -> None:
        start = Start(task.id, task.state_dir, task.runtime)
        try:
            exit_ = await self._starts.end(start, started=task.started)
        except WherryError as error:
            exit_ = Exit(code=EXIT_KILLED, at=time.time_ns(), reason=f"{SHIM_DIED}: {error.message}")
        task.settle(exit_ or Exit(code=EXIT_KILLED, at=time.time_ns(), reason=SHIM_DIED))

    async def _finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` to its end although the caller may be cancelled."""
        await asyncio.shield(self._hold(work))

    def _hold(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


def _prepare(exec_root: Path) -> Path:
    keep_descriptors_private()
    for path in (exec_root, exec_root / "runc", exec_root / "containers"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in exec_root.glob(f"{_REHEARSAL}*"):  # of a zygote that was killed
        shutil.rmtree(left, ignore_errors=True)
    return exec_root.resolve()


def _order(request: TaskRequest, start: Start, root: Path) -> Order:
    log = request.log
    height, width = request.console_size or (0, 0)
    return Order(
        id=request.id,
        bundle=str(request.bundle),
        state_dir=str(start.state_dir),
        root=str(root),
        runtime=start.runtime.path,
        runtime_args=start.runtime.args,
        terminal=request.terminal,
        open_stdin=request.open_stdin,
        stdin_once=request.stdin_once,
        height=height,
        width=width,
        log_path=str(log.path) if log is not None else "",
        log_max_size=(log.max_size or 0) if log is not None else 0,
        log_max_files=log.max_files if log is not None else 1,
        log_attrs=log.attrs if log is not None else b"",
        log_numbered=log is not None and log.numbered,
        plain=request.plain,
        owner=request.owner,
    )


def _peer(sock: socket) -> int:
    """Return the pid of the process at the other end."""
    pid: int = struct.unpack("3i", sock.getsockopt(SOL_SOCKET, SO_PEERCRED, 12))[0]
    return pid
