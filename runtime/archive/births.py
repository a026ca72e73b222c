"""How workers come to be: at the process that forks them, which is there while there are some, and a moment longer."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from errdefs import SystemFailure
from runtime.archive.copy import Copy, settle
from runtime.archive.forker import Forker
from runtime.shim import descriptors

_BIRTHS = 2
_ASKED = 3  # workers, until one takes an order


class Births:
    """Workers of one kind. While there is work one more is born ahead, so that the next order need not wait for it.

    The server is let go when nobody has worked for `patience` seconds.
    """

    def __init__(self, server: str, patience: float, max_line: int) -> None:
        """`server`: the module of the process that forks them, none before the first order. `max_line`: bytes of what a
        worker says at once.
        """
        self._forker = Forker(server)
        self._patience = patience
        self._max_line = max_line
        self._ahead: asyncio.Task[Copy] | None = None
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
        """Nobody has worked for a while, nor was one on its way."""
        if self._ahead is not None:
            _forget(self._ahead)
            self._ahead = None
        self._forker.let_go()

    @asynccontextmanager
    async def _asked(self, order: dict[str, Any], passed: Sequence[int]) -> AsyncGenerator[Copy, None]:
        """A worker that has begun an order, for which it got descriptors; after the block it is gone.

        SystemFailure when there can be none.
        """
        with self._at_work():
            for _ in range(_ASKED):
                worker = await self._taken()
                async with worker.ordered(order, passed, self._max_line):
                    if self._ahead is None:
                        self._ahead = asyncio.get_running_loop().create_task(self._new())
                    if await worker.began():
                        yield worker
                        return
            raise SystemFailure(f"cannot copy: no process came to do it{await self._forker.why()}")

    async def _taken(self) -> Copy:
        """The one that was born ahead, if it is alive, or else a new one."""
        while (ahead := self._ahead) is not None:
            await asyncio.wait([ahead])
            if self._ahead is not ahead:
                continue  # somebody else has taken it
            self._ahead = None
            if ahead.exception() is None:
                worker = ahead.result()
                if worker.alive:
                    return worker
                worker.drop()
        return await self._new()

    async def _new(self) -> Copy:
        """One that does not come, as the server has died, is asked for once more."""
        with self._at_work():
            for _ in range(_BIRTHS):
                if (worker := await self._born()) is not None:
                    return worker
                await self._forker.failed()
            raise SystemFailure(f"cannot copy: no process came to do it{await self._forker.why()}")

    async def _born(self) -> Copy | None:
        with ExitStack() as opened:
            control, theirs = (opened.enter_context(end) for end in _pair())
            data, its_data = (opened.enter_context(end) for end in _pair())
            await self._forker.order([theirs.fileno(), its_data.fileno()])
            theirs.close()
            its_data.close()
            pidfd = await _introduced(control)
            if pidfd < 0:
                return None
            opened.callback(os.close, pidfd)
            return Copy(opened.pop_all(), pidfd, control, data)

    async def close(self) -> None:
        """Let the server end, and workers with it."""
        if (ahead := self._ahead) is not None:
            self._ahead = None
            ahead.cancel()
            await asyncio.wait([ahead])
            _forget(ahead)
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


def _forget(ahead: asyncio.Task[Copy]) -> None:
    if not ahead.cancelled() and ahead.exception() is None:
        ahead.result().drop()
