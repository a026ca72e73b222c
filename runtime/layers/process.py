"""A worker process of the daemon's: born clean, talked to through a pipe, never left behind.

It starts without `site`, which costs more than all that workers import: where packages lie it is told.
"""

import asyncio
import contextlib
import fcntl
import functools
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from importlib.util import find_spec
from typing import Any

import errdefs
from errdefs import SystemFailure
from runtime.pipe import receive

_FIRST_PASSED = 3  # the worker finds its descriptors from here on
_ABOVE = 32  # ours are moved above, so that none is overwritten before it is passed
_MAX_LINE = 1 << 16
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


class Worker:
    """A running worker: its messages, and its end."""

    def __init__(self, pid: int, messages: asyncio.StreamReader) -> None:
        """Watch the process `pid`."""
        self._messages = messages
        self._pidfd = os.pidfd_open(pid)
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._loop.add_reader(self._pidfd, self._reap)

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        status = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
        os.close(self._pidfd)
        if status is None:
            self._ended.set_result(0)
        else:
            killed = status.si_code != os.CLD_EXITED
            self._ended.set_result(-status.si_status if killed else status.si_status)

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what the worker reports, until it ends."""
        while line := await self._messages.readline():
            yield json.loads(line)

    async def status(self) -> int:
        """Wait for the end; an exit status, or minus the signal that killed it."""
        return await asyncio.shield(self._ended)

    async def end(self) -> None:
        """Kill the worker unless it has ended, and wait until it is gone, however often we are cancelled."""
        if not self._ended.done():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        cancelled = False
        while not self._ended.done():
            try:
                await asyncio.wait([self._ended])
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError


@asynccontextmanager
async def worker(module: str, order: dict[str, Any], passed: Sequence[int]) -> AsyncIterator[Worker]:
    """Run a module with `order` as its argument, the descriptors `passed` from 3 on, and a pipe for messages last.

    Must be entered on the main thread: the worker is killed when the thread that started it ends. After
    the block the worker is gone.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with ExitStack() as opened:
        with os.fdopen(writing, "wb", buffering=0):
            messages, transport = receive(reading, _MAX_LINE)
            opened.callback(transport.close)
            running = Worker(_spawn(module, order, [*passed, writing]), messages)
        try:
            yield running
        finally:
            await running.end()


def told(error: dict[str, Any]) -> errdefs.WherryError:
    """The error that a worker tells of."""
    kind: type[errdefs.WherryError] = getattr(errdefs, error["kind"])
    return kind(error["message"])


@functools.cache
def _packages() -> list[str]:
    """The directories in which our own modules are, and the others that workers use."""
    found = (find_spec(name) for name in ("runtime", "isal", "zstandard"))
    origins = [spec.origin for spec in found if spec is not None and spec.origin is not None]
    return list(dict.fromkeys(os.path.dirname(os.path.dirname(origin)) for origin in origins))


def _spawn(module: str, order: dict[str, Any], passed: Sequence[int]) -> int:
    code = f"import sys; sys.path += {_packages()!r}; from {module} import main; main()"
    argv = [sys.executable, "-I", "-S", "-c", code, json.dumps(order)]
    with ExitStack() as moved:
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
        ]
        for number, fd in enumerate(passed, _FIRST_PASSED):
            above = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE)
            moved.callback(os.close, above)
            actions.append((os.POSIX_SPAWN_DUP2, above, number))
        try:
            return os.posix_spawn(
                sys.executable,
                argv,
                _ENVIRONMENT,
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
            )
        except OSError as error:
            raise SystemFailure(f"cannot start a worker: {error.strerror}") from error
