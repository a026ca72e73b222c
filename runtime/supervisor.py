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

import msgspec

from errdefs import SystemFailure, WherryError
from runtime import leftovers, runc
from runtime.cgroups import Moves
from runtime.runc import Runc
from runtime.shim import protocol
from runtime.shim.order import Order
from runtime.shim_client import RefusedError, ShimLostError, connect
from runtime.spawn import ENVIRONMENT, keep_descriptors_private, open_many_files
from runtime.task import Task
from runtime.task_values import EXIT_KILLED, Exit, Runtime, TaskRequest
from runtime.zygote import Zygote

_ANSWER = 30.0  # seconds in which a shim must say hello; `runc create` may be in the way
_TRIES = 4
_GRACE = 1.0  # seconds in which a create that is given up may come to its end
_PAUSE = 0.05  # seconds, and more each time: a zygote in its last moment still takes an order
_SHIM_DIED = "its shim died, and the container was killed"
_REMOVED = "its runtime directory was removed, and the container was killed"
_RUNTIME_FILE = "runtime"
_REHEARSAL = "rehearsal-"
_DEFAULT_RUNTIME = Runtime(name="runc", path="runc")


class _Place(msgspec.Struct, frozen=True):
    """One start of one container: where its state is, and by which runtime."""

    id: str
    state_dir: Path
    bundle: Path
    runtime: Runtime


class Supervisor:
    """One for an exec root. `close` leaves shims and containers alive."""

    def __init__(self, exec_root: Path, *, memfd: bool, faults: str) -> None:
        """Use `open`."""
        self._exec_root = exec_root
        self._runc = Runc(exec_root / "runc")
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
        place = _Place(request.id, state_dir, request.bundle, _resolve(request.runtime))
        order = _order(request, place, self._runc.root)
        _make_state_dir(place)  # on the loop: a cancelled thread would make it after it was removed
        try:
            task = await self._launch(order, place)
        except BaseException:
            await self._finish(self._remove(place))
            raise
        self._watch(task)
        return task

    async def _launch(self, order: Order, place: _Place) -> Task:
        """Have a shim create the container; a shim that was never born, its zygote having died, is asked for
        again.
        """
        for attempt in range(_TRIES):
            task = self._task(place, terminal=order.terminal)
            task.connect(await self._zygote.order(order))
            try:
                await task.created()
                return task
            except RefusedError as error:
                await task.left()
                task.disconnect()
                log = await runc.read_log(place.state_dir / "runc.log")
                raise runc.create_error(log, error.code, error.text, place.runtime.path) from None
            except ShimLostError:
                if attempt < _TRIES - 1 and task.shim_pid == 0:
                    await self._remove(place)
                    await asyncio.sleep(_PAUSE * attempt)
                    _make_state_dir(place)
                    continue
                raise SystemFailure(f"cannot create container {place.id}: its shim died") from None
            except asyncio.CancelledError:
                await self._finish(self._give_up(task))
                raise
        raise AssertionError("unreachable")

    async def _give_up(self, task: Task) -> None:
        """End what a cancelled create has begun, whatever comes of it.

        A runtime that hangs, or what it waits for, is left to `_remove`, which kills it together with its shim.
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
        place = _Place(id, state_dir, state_dir.parent, _resolve(runtime))
        try:
            sock = await connect(state_dir)
        except ShimLostError:
            return await self._end(place, started=None)
        task = self._task(place, terminal=False)
        shim_pid = _peer(sock)
        task.connect(sock)
        try:
            async with asyncio.timeout(_ANSWER):
                await task.greet()
        except ShimLostError:
            return await self._end(place, started=None)
        except TimeoutError:
            await asyncio.to_thread(leftovers.kill, [shim_pid])
            task.disconnect()
            return await self._end(place, started=None)
        if task.failed:
            await task.left()
            return await self._end(place, started=None)
        self._watch(task)
        return task

    async def sweep(self, keep: set[str]) -> list[str]:
        """End all that lives under the exec root for ids not in `keep`, and return those ids.

        Also found are containers whose directories are gone. Bundles and mounts are not touched.
        """
        ended: list[str] = []
        for place in await asyncio.to_thread(self._places):
            if place.id in keep:
                continue
            found = await self.adopt(place.id, place.state_dir, place.runtime)
            if isinstance(found, Task):
                await found.kill(signal.SIGKILL)
                await found.gone()
            await self._remove(place)
            ended.append(place.id)
        return sorted(set(ended))

    async def update(self, id: str, runtime: Runtime, resources: dict[str, Any]) -> None:  # noqa: A002
        """Change the limits of a running container; see `Runc.update`."""
        await self._runc.update(_resolve(runtime), id, resources)

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

    def _task(self, place: _Place, *, terminal: bool) -> Task:
        return Task(
            id=place.id,
            state_dir=place.state_dir,
            runtime=place.runtime,
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
        place = _Place(task.id, task.state_dir, task.state_dir.parent, task.runtime)
        try:
            exit_ = await self._end(place, started=task.started)
        except WherryError as error:
            exit_ = Exit(code=EXIT_KILLED, at=time.time_ns(), reason=f"{_SHIM_DIED}: {error.message}")
        task.settle(exit_ or Exit(code=EXIT_KILLED, at=time.time_ns(), reason=_SHIM_DIED))

    async def _end(self, place: _Place, *, started: bool | None) -> Exit | None:
        """End what a dead shim left. Returns how the container ended, None when it was never started.

        `started`: whether it was, None when only the files can tell.
        """
        removed = await asyncio.to_thread(self._end_hidden_shims, place)
        exit_ = await asyncio.to_thread(_read_exit, place.state_dir)
        await asyncio.to_thread(leftovers.end_runtime_commands, place.state_dir)
        ran = await asyncio.to_thread(self._ran, place) if started is None else started
        if await asyncio.to_thread(self._runc.knows, place.id):
            await self._runc.delete(place.runtime, place.id)
        await asyncio.to_thread(leftovers.remove_cgroups, place.bundle)
        await asyncio.to_thread(leftovers.remove_sockets, place.state_dir)
        if exit_ is None and (ran or removed):
            reason = _REMOVED if removed else _SHIM_DIED
            exit_ = Exit(code=EXIT_KILLED, at=time.time_ns(), reason=reason)
            await asyncio.to_thread(_write_exit, place.state_dir, exit_)
        return exit_

    def _ran(self, place: _Place) -> bool:
        return (place.state_dir / "pid").exists() and not self._runc.waits(place.id)

    def _end_hidden_shims(self, place: _Place) -> bool:
        """End a shim that lives although its directory was removed. True when it had a container."""
        found = [
            shim
            for shim in leftovers.find_shims(self._exec_root)
            if shim.state_dir == place.state_dir and not (shim.state_dir / "exit").exists()
        ]
        ended = [shim for shim in found if leftovers.end_shim(shim)]
        return any(shim.removed for shim in ended)

    async def _remove(self, place: _Place) -> None:
        """Remove every trace of a start."""
        await self._end(place, started=False)
        await asyncio.to_thread(shutil.rmtree, place.state_dir, ignore_errors=True)

    def _places(self) -> list[_Place]:
        """Return all starts that have a directory, a living shim, or state of the runtime."""
        containers = self._exec_root / "containers"
        directories = {path for path in containers.glob("*/*") if (path / _RUNTIME_FILE).is_file()}
        directories |= {shim.state_dir for shim in leftovers.find_shims(self._exec_root)}
        known = {path.parent.name for path in directories}
        orphans = [path.name for path in self._runc.root.iterdir() if path.name not in known]
        directories |= {containers / name / "0" for name in orphans}
        return [
            _Place(path.parent.name, path, path.parent, _read_runtime(path)) for path in sorted(directories)
        ]

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


def _resolve(runtime: Runtime) -> Runtime:
    path = shutil.which(runtime.path, path=ENVIRONMENT["PATH"]) or runtime.path
    return Runtime(name=runtime.name, path=path, args=runtime.args)


def _order(request: TaskRequest, place: _Place, root: Path) -> Order:
    log = request.log
    height, width = request.console_size or (0, 0)
    return Order(
        id=request.id,
        bundle=str(request.bundle),
        state_dir=str(place.state_dir),
        root=str(root),
        runtime=place.runtime.path,
        runtime_args=place.runtime.args,
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


def _make_state_dir(place: _Place) -> None:
    place.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    runtime = place.runtime
    (place.state_dir / _RUNTIME_FILE).write_bytes(
        protocol.encode(runtime.name, runtime.path, *runtime.args)[4:]
    )


def _read_runtime(state_dir: Path) -> Runtime:
    try:
        fields = (state_dir / _RUNTIME_FILE).read_bytes().decode("utf-8", "surrogateescape").split("\0")
    except OSError:
        fields = []
    if len(fields) < 2:  # not written to its end
        return _resolve(_DEFAULT_RUNTIME)
    return Runtime(name=fields[0], path=fields[1], args=tuple(fields[2:]))


def _read_exit(state_dir: Path) -> Exit | None:
    try:
        code, at, oom, reason = protocol.decode_exit((state_dir / "exit").read_bytes())
    except (OSError, ValueError):
        return None
    return Exit(code=code, at=at, oom=oom, reason=reason)


def _write_exit(state_dir: Path, exit_: Exit) -> None:
    """Write down what a dead shim could not, so that another daemon learns the same."""
    temporary = state_dir / ".exit.tmp"
    try:
        temporary.write_bytes(protocol.encode_exit(exit_.code, exit_.at, oom=exit_.oom, reason=exit_.reason))
        os.rename(temporary, state_dir / "exit")
    except OSError:  # the directory was removed
        pass


def _peer(sock: socket) -> int:
    """Return the pid of the process at the other end."""
    pid: int = struct.unpack("3i", sock.getsockopt(SOL_SOCKET, SO_PEERCRED, 12))[0]
    return pid
