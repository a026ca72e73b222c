"""How workers come to be: asked for at the process that forks them, which is there while there are some, and a moment
longer.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack

from errdefs import SystemFailure
from runtime.archive.forker import Forker
from runtime.shim import descriptors

_BIRTHS = 2


class Births:
    """Workers of one kind. The server is let go when nobody has worked for `patience` seconds."""

    def __init__(self, server: str, patience: float) -> None:
        """`server`: the module of the process that forks them."""
        self._forker = Forker(server)
        self._patience = patience
        self._working = 0
        self._idle: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        self._working += 1
        if self._idle is not None:
            self._idle.cancel()
        try:
            yield
        finally:
            self._working -= 1
            if not self._working:
                self._idle = asyncio.get_running_loop().call_later(self._patience, self._let_go)

    def _let_go(self) -> None:
        """Nobody has worked for a while."""
        self._forker.let_go()

    async def _born(
        self, opened: ExitStack | AsyncExitStack, passed: Sequence[int] = ()
    ) -> tuple[int, socket.socket, socket.socket]:
        """A worker's descriptor, its control socket and the one for its archive; it gets `passed`, too.

        One that does not come, as the server has died, is asked for once more.
        """
        for _ in range(_BIRTHS):
            with ExitStack() as tried:
                control, theirs = (tried.enter_context(end) for end in _pair())
                data, its_data = (tried.enter_context(end) for end in _pair())
                await self._forker.order([theirs.fileno(), its_data.fileno(), *passed])
                theirs.close()
                its_data.close()
                pidfd = await _introduced(control)
                if pidfd >= 0:
                    tried.callback(os.close, pidfd)
                    opened.callback(tried.pop_all().close)
                    return pidfd, control, data
            await self._forker.failed()
        raise SystemFailure(f"cannot copy: no process came to do it{await self._forker.why()}")

    async def close(self) -> None:
        """Let the server end, and workers with it."""
        if self._idle is not None:
            self._idle.cancel()
        await self._forker.close()


def _pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    return ours, theirs


async def _introduced(control: socket.socket) -> int:
    """The worker's descriptor of itself, which it sends first; -1 when none came of it."""
    loop = asyncio.get_running_loop()
    there: asyncio.Future[None] = loop.create_future()
    loop.add_reader(control, settle, there)
    try:
        await there
    finally:
        loop.remove_reader(control)
    try:
        _, fds = descriptors.receive(control, 1, 1)
    except ConnectionError:
        fds = []
    return fds[0] if fds else -1


def settle(future: "asyncio.Future[None]") -> None:
    """Set a future, however often it is told."""
    if not future.done():
        future.set_result(None)
