"""The daemon's side of the process that forks workers: started when it is needed, and again when it died."""

import asyncio
import fcntl
import os
import socket
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from errdefs import SystemFailure
from runtime.spawn import Child, birth

_DAEMON = 3
_ABOVE = 32
_LAST_WORDS, _DYING = 5.0, 1.0  # seconds
_WORDS = 1 << 16  # bytes, what a pipe holds
_PACKAGES = Path(__file__).resolve().parent.parent
_BEGAN = time.time()


class Forker:
    """Gives orders, the descriptors that its server takes. One server at a time takes them."""

    def __init__(self, server: str) -> None:
        """`server`: its module, as `runtime.archive.server` is one."""
        self._module = server
        self._servers: set[Child] = set()  # those that have not ended
        self.pid = 0
        """That of the server that takes orders, 0 when there is none."""
        self._socket: socket.socket | None = None  # of the one that takes orders
        self._last: Child | None = None
        self._words = -1  # what the last one says where something fails
        self._said = ""

    async def order(self, passed: list[int]) -> None:
        """Ask for a worker. Raises SystemFailure when no server takes it; one that dies of it lets go of all."""
        for _ in range(2):
            if self._socket is None:
                self._start()
            assert self._socket is not None
            try:
                while True:
                    try:
                        socket.send_fds(self._socket, [b"."], passed)
                        return
                    except BlockingIOError:  # many at once: it takes them one by one
                        await asyncio.sleep(0.002)
            except OSError:  # it has just died
                self._socket, self.pid = None, 0
        raise SystemFailure(
            f"cannot copy: the process that forks workers does not stay alive{await self.why()}"
        )

    async def failed(self) -> None:
        """No worker came of an order: wait a moment for the server's end, as one that is dying still takes orders."""
        if self._last is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_DYING):
                    await self._last.wait()

    async def why(self) -> str:
        """What the last server said at its end, and what to do where that helps, as the end of a message."""
        self._listen()
        said = f": {self._said}" if self._said else ""
        if await asyncio.to_thread(_replaced):
            return f"{said} (the daemon's files were replaced since it started: restart it)"
        return said

    def let_go(self) -> None:
        """The server ends when its socket closes."""
        if self._socket is not None:
            self._socket.close()
            self._socket, self.pid = None, 0

    def _start(self) -> None:
        """On the main thread: the server is killed when the thread that started it ends."""
        with ExitStack() as opened:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            opened.enter_context(theirs)
            above = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, _ABOVE)
            opened.callback(os.close, above)
            # Whoever says more than a pipe holds is not to wait for us.
            words, saying = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            opened.callback(os.close, saying)
            argv = [sys.executable, "-I", "-m", self._module]
            try:
                server = Child(
                    birth(
                        argv, executable=sys.executable, stdio=(-1, -1, saying), pass_fds=[(above, _DAEMON)]
                    )
                )
            except OSError as error:
                ours.close()
                os.close(words)
                raise SystemFailure(f"cannot start {sys.executable}: {error.strerror}") from error
        self._hush()
        self._last, self._words, self._said = server, words, ""
        ours.settimeout(0)
        self._servers.add(server)
        self._socket, self.pid = ours, server.pid
        server.when_ended(lambda _code: self._ended(server, ours))

    def _ended(self, server: Child, ours: socket.socket) -> None:
        self._servers.discard(server)
        if self._last is server:
            self._hush()
        ours.close()
        if self._socket is ours:
            self._socket, self.pid = None, 0

    def _listen(self) -> None:
        """Take the last line of what was said."""
        if self._words >= 0:
            try:
                lines = os.read(self._words, _WORDS).decode("utf-8", "replace").split("\n")
            except BlockingIOError:
                return
            self._said = next((line.strip() for line in reversed(lines) if line.strip()), self._said)

    def _hush(self) -> None:
        """Take it, and hear no more."""
        self._listen()
        if self._words >= 0:
            os.close(self._words)
        self._words = -1

    async def close(self) -> None:
        """Let the server end, and workers with it."""
        self.let_go()
        for server in tuple(self._servers):
            try:
                async with asyncio.timeout(_LAST_WORDS):
                    await server.wait()
            except TimeoutError:
                server.kill()
                await server.wait()
        self._hush()


def _replaced() -> bool:
    """Whether the program was changed on disk since the daemon loaded it."""
    try:
        return any(file.stat().st_ctime > _BEGAN for file in _PACKAGES.rglob("*.py"))
    except OSError:  # they are being replaced
        return True
