"""The daemon's side of its zygote: started, asked for shims, started again when it dies."""

import asyncio
import resource
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from errdefs import SystemFailure
from runtime import interpreter
from runtime.shim.order import Order
from runtime.shim.zygote import CONTROL_FD
from runtime.spawn import ENVIRONMENT, Child, birth

# What shims use of the standard library. It is loaded first, so that their own code and data lie together in memory.
_LIBRARY = (
    "array, codecs, ctypes, fcntl, functools, gc, os, resource, select, signal, socket, stat, struct, termios,"
    " time"
)
_MAIN = "from runtime.shim.zygote import main; main(*sys.argv[2:])"
_CODE = f"import sys; sys.path.append(sys.argv[1]); import {_LIBRARY}; {_MAIN}"
_ENVIRONMENT = {**ENVIRONMENT, "LD_BIND_NOW": "1"}  # symbols are not bound in each shim
_PACKAGES = str(Path(__file__).resolve().parent.parent)
_LAST_WORDS = 5.0
_SHORT_LIFE = 1.0  # seconds: one that died sooner is not started again until it is needed


class Zygote:
    """One zygote at a time; shims do not depend on it once they are born."""

    def __init__(self, binary: str, directory: str, files: tuple[int, int], fault: str = "") -> None:
        """`binary`: the runtime to copy into memory at once, "" for no copies at all. `directory`: this daemon's
        own, for the rehearsal of a shim's life; it does not exist. `files`: the soft and hard limits of open files of
        shims and containers.

        `fault`: a step of runtime.shim.faults at which the first zygote, or a shim of it, dies; for tests.
        """
        self._binary = binary
        self._directory = directory
        self._files = files
        self._fault = fault
        self._socket: socket.socket | None = None
        self._child: Child | None = None
        self._closed = False

    @property
    def pid(self) -> int:
        """The pid of the present zygote, 0 when there is none."""
        return self._child.pid if self._child is not None else 0

    def start(self) -> None:
        """Start one. Raises SystemFailure when Python itself cannot be executed."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        argv = [sys.executable, "-I", "-S", "-B", "-c", _CODE, _PACKAGES]
        argv += [self._binary, self._directory, self._fault]
        try:
            with theirs, interpreter.read_only(_ENVIRONMENT) as (executable, environment):
                child = Child(
                    birth(
                        argv,
                        executable=executable,
                        pass_fds=[(theirs.fileno(), CONTROL_FD)],
                        environment=environment,
                    )
                )
        except OSError as error:
            ours.close()
            raise SystemFailure(f"cannot start the zygote {sys.executable}: {error.strerror}") from error
        self._fault = ""
        with suppress(OSError, ValueError):  # it has ended already, or has them
            resource.prlimit(child.pid, resource.RLIMIT_NOFILE, self._files)
        ours.settimeout(0)
        self._socket = ours
        self._child = child
        born = time.monotonic()
        child.when_ended(lambda _code: self._ended(ours, born))

    def _ended(self, ours: socket.socket, born: float) -> None:
        ours.close()
        if self._socket is not ours:
            return
        self._socket = None
        self._child = None
        if not self._closed and time.monotonic() - born > _SHORT_LIFE:
            self.start()

    async def order(self, order: Order) -> socket.socket:
        """Send an order and return the daemon's end of the new shim's control channel, non-blocking.

        The channel closes at once when no shim came of it. Raises SystemFailure when no zygote takes it.
        """
        message = order.encode()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.settimeout(0)
        with theirs:
            for _ in range(3):
                if self._socket is None:
                    self.start()
                assert self._socket is not None
                try:
                    await self._send(self._socket, message, theirs.fileno())
                except OSError:  # it has just died
                    self._socket = None
                    continue
                except asyncio.CancelledError:
                    ours.close()
                    raise
                return ours
        ours.close()
        raise SystemFailure("cannot start a shim: the zygote does not stay alive")

    async def _send(self, sock: socket.socket, message: bytes, fd: int) -> None:
        while True:
            try:
                socket.send_fds(sock, [message], [fd])
            except BlockingIOError:  # many at once: it takes them one by one
                await asyncio.sleep(0.002)
                continue
            return

    async def close(self) -> None:
        """Let the zygote end, and see it end; shims live on."""
        self._closed = True
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._child is None:
            return
        try:
            async with asyncio.timeout(_LAST_WORDS):
                await self._child.wait()
        except TimeoutError:
            self._child.kill()
            await self._child.wait()
