"""A task is a container's running instance, as the daemon sees it through the instance's shim."""

import asyncio
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from socket import socket
from typing import Any

from errdefs import Conflict, SystemFailure, Unavailable
from runtime import runc
from runtime.execs import ExecProcess, Execs, send_signal
from runtime.probes import Probes
from runtime.probing import ProbeRequest, ProbeResult
from runtime.shim.native import DEAD
from runtime.shim_client import Control, RefusedError, Reply, ShimLostError
from runtime.shim_stream import Stream, open_stream
from runtime.task_values import Attach, ExecRequest, Exit, Runtime

_PATIENCE = 10.0  # seconds that the kernel gets to end what was killed


class Task:
    """Made by the supervisor. `pid` is init's; `started` is set once `start` has succeeded."""

    def __init__(
        self,
        *,
        id: str,  # noqa: A002
        state_dir: Path,
        runtime: Runtime,
        terminal: bool,
        on_lost: Callable[["Task"], None],
    ) -> None:
        """`on_lost` is called when the shim dies after the container was created; it ends in `settle`."""
        self.id = id
        self.state_dir = state_dir
        self.runtime = runtime
        self.terminal = terminal
        self.pid = 0
        self.shim_pid = 0
        self.started = False
        self.failed = False
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._control: Control | None = None
        self._pidfd = -1
        self._created: asyncio.Future[None] = self._loop.create_future()
        self._exit: asyncio.Future[Exit] = self._loop.create_future()
        self._gone = asyncio.Event()
        self._left = asyncio.Event()
        self._parted = asyncio.Event()
        self._execs = Execs(self)
        self._probes = Probes(self)

    # -- for the supervisor

    def connect(self, sock: socket) -> None:
        """Take over a connection to the shim."""
        self._control = Control(sock, self._event, self._lost)

    async def created(self) -> None:
        """Return when `runc create` is done. Raises RefusedError, and ShimLostError."""
        await asyncio.shield(self._created)

    async def greet(self) -> None:
        """Ask a shim of another daemon how things stand. Raises ShimLostError."""
        reply = await self.request("hello", 1)
        _version, shim_pid, state, pid, terminal, code, at, oom = reply.fields[:8]
        self.shim_pid = int(shim_pid)
        self.terminal = terminal == b"1"
        self.failed = state == b"failed"
        self.started = state in (b"running", b"exited")
        self._take_pid(int(pid), reply.fd)
        if not self._created.done():
            self._created.set_result(None)
        if state == b"exited":
            self._set_exit(Exit(code=int(code), at=int(at), oom=oom == b"1"))

    async def left(self) -> None:
        """Return when the shim has deleted the container, or is dead."""
        await self._left.wait()

    def settle(self, exit_: Exit) -> None:
        """The shim is dead and nothing of the container is left: it ended like this, if that is not known
        better.
        """
        self._set_exit(exit_)
        self._end_all(exit_.reason)
        self._gone.set()

    async def parted(self) -> None:
        """Return when the shim has left, and everything is told."""
        await self._parted.wait()

    def disconnect(self) -> None:
        """Let the shim be: the daemon ends, or the task is over."""
        self._parted.set()
        if self._control is not None:
            self._control.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    # -- for everyone

    async def start(self) -> None:
        """Start the container's process. Raises InvalidArgument or SystemFailure with the runtime's text."""
        try:
            await self.request("start")
        except RefusedError as error:
            log = await runc.read_log(self.state_dir / "start.log")
            raise runc.start_error(log, error.code, error.text, self.runtime.path) from None
        except ShimLostError:
            if self._exit.done():
                raise runc.start_error(b"", 1, DEAD, self.runtime.path) from None
            raise SystemFailure(f"cannot start container {self.id}: its shim died") from None
        self.started = True

    async def kill(self, signal: int) -> None:
        """Signal init; nothing happens once it has ended."""
        send_signal(self._pidfd, signal)

    def mounts(self) -> int:
        """Init's mount namespace, as a descriptor that the caller closes. Unavailable once init has ended."""
        namespace = -1
        try:
            namespace = os.open(f"/proc/{self.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            if self._pidfd < 0:
                raise ProcessLookupError
            signal.pidfd_send_signal(self._pidfd, 0)  # nobody else has got the pid before it was looked up
        except OSError as error:
            if namespace >= 0:
                os.close(namespace)
            raise Unavailable(f"container {self.id} has ended") from error
        return namespace

    async def resize(self, height: int, width: int, exec_id: str = "") -> None:
        """Set the size of a terminal, init's or that of an exec, in characters. Conflict when it has none."""
        try:
            await self.request("resize", exec_id, height, width)
        except RefusedError as error:
            raise Conflict(f"cannot resize: {error.text}") from None
        except ShimLostError:
            raise Conflict(f"cannot resize: container {self.id} is not running") from None

    async def attach(self, attach: Attach) -> Stream:
        """Attach a client; between create and start no byte is lost. SystemFailure when the shim has left."""
        try:
            stream, _ = await open_stream(self.state_dir, "attach", attach.wants)
        except (ShimLostError, RefusedError) as error:
            raise SystemFailure(f"cannot attach to container {self.id}: it has ended") from error
        return stream

    async def exec(self, request: ExecRequest) -> ExecProcess:
        """Run a further process in the container.

        Raises InvalidArgument or SystemFailure with the runtime's text, Conflict when the container does not
        run.
        """
        return await self._execs.start(request)

    async def expect_probes(self) -> None:
        """Between create and start: health checks will come. A shim that does not know what they are is not asked."""
        with suppress(RefusedError, ShimLostError):
            await self.request("expect-probes")

    async def probe(self, request: ProbeRequest) -> tuple[int, asyncio.Future[ProbeResult]]:
        """Run a probe; returns, once it runs, its pid and what will tell its end. The shim kills it at its timeout.

        A shim of an older version does not tell the pid: 0.

        Raises InvalidArgument or SystemFailure with the runtime's text, Conflict when the container does not run.
        """
        return await self._probes.start(request)

    async def unprobe(self) -> None:
        """Kill the probe that runs, if any."""
        with suppress(RefusedError, ShimLostError):
            await self.request("unprobe")

    async def updated(self, resources: dict[str, Any]) -> None:
        """Tell the shim that the runtime has changed these limits (the spec's linux.resources), as it changes one, too.

        A shim of an older version does not know what that is, and one that does not answer has died or is about to.
        """
        limit = resources.get("pids", {}).get("limit", 0)
        told = "max" if limit < 0 else str(limit or "")
        with suppress(RefusedError, ShimLostError, TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self.request("updated", told)

    async def wait(self) -> Exit:
        """Return how init ended, as soon as that is written down."""
        return await asyncio.shield(self._exit)

    async def gone(self) -> None:
        """Return when the runtime has deleted the container: another may be created under its id."""
        await self._gone.wait()

    async def abandon(self) -> None:
        """End a container that was not started, and remove its state directory. May be called again.

        SystemFailure if the kernel does not let go of it.
        """
        await self.kill(signal.SIGKILL)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self.gone()
        except TimeoutError:
            raise SystemFailure(
                f"container {self.id} PID {self.pid} was killed and does not end: "
                "it may be waiting for a disk or network file system"
            ) from None
        await asyncio.to_thread(shutil.rmtree, self.state_dir, ignore_errors=True)

    # -- for its execs and probes

    async def request(self, verb: str, *arguments: str | int) -> Reply:
        """Ask the shim. Raises RefusedError and ShimLostError."""
        if (
            self._control is None or self._left.is_set()
        ):  # a shim that only drains its clients need not answer
            raise ShimLostError
        return await self._control.request(verb, *arguments)

    # -- inside

    def _take_pid(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._pidfd = pidfd

    def _event(self, message: list[bytes], fd: int) -> None:
        """Take one event. IndexError and ValueError mean that the peer is no shim."""
        word, fields = message[0], message[1:]
        if word == b"hello":
            self.shim_pid = int(fields[1])
        elif word == b"created":
            self._take_pid(int(fields[0]), fd)
            self._created.set_result(None)
        elif word == b"failed":
            self.failed = True
            self._created.set_exception(RefusedError(int(fields[0]), fields[1].decode("utf-8", "replace")))
        elif word == b"exit":
            self._set_exit(Exit(code=int(fields[0]), at=int(fields[1]), oom=fields[2] == b"1"))
        elif word == b"exec-exit":
            self._execs.ended(fields[0], fields[1], fields[2])
        elif word == b"probe-exit":
            self._probes.ended(*fields)
        elif word == b"deleted":
            self._deleted()

    def _set_exit(self, exit_: Exit) -> None:
        if not self._exit.done():
            self._exit.set_result(exit_)

    def _deleted(self) -> None:
        self._left.set()
        self._gone.set()
        if self._control is not None:
            self._control.give_up()

    def _end_all(self, reason: str) -> None:
        self._execs.end_all(reason)
        self._probes.end_all()

    def _lost(self) -> None:
        """The channel closed: rightly after `deleted`, else the shim is dead."""
        self.disconnect()
        deleted = self._left.is_set()
        self._left.set()
        if deleted:
            self._end_all("")
        if not self._created.done():
            self._created.set_exception(ShimLostError())
        elif not deleted and not self.failed:
            self._on_lost(self)
