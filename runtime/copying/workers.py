"""Work on a build's files, the daemon's side: one process for each order, and none is left behind."""

import asyncio
import json
import os
import select
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from errdefs import InvalidArgument, SystemFailure
from runtime.archive.births import Births
from runtime.archive.workers import Copy
from runtime.copying import digests
from runtime.copying.listing import Little, TooMuch
from runtime.copying.order import Action, Selection, encode
from runtime.layers.digesting import Packed

_PATIENCE = 30.0  # seconds that a server without work stays: steps between two COPY may take that
_MAX_LINE = 16 << 20
_LITTLE_NAMES, _LITTLE_BYTES = 200, 1 << 20  # what a thread looks at before a process is asked
_ASKED = 3  # workers, until one takes an order
_MOST = 200  # directories of an order
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class _Worker(Copy):
    """One worker, born but not yet asked for anything."""

    def __init__(self, opened: ExitStack, pidfd: int, control: socket.socket, data: socket.socket) -> None:
        """`opened` holds all of the descriptors."""
        self._opened = opened
        self._control = control
        self._poll = select.poll()
        self._poll.register(pidfd, select.POLLIN)
        super().__init__(pidfd, asyncio.StreamReader(), data)

    @property
    def alive(self) -> bool:
        """Whether it has not ended: its server may have."""
        return not self._poll.poll(0)

    @asynccontextmanager
    async def ordered(self, order: dict[str, Any], directories: Sequence[int]) -> AsyncGenerator[None, None]:
        """Give it its order; after the block it is gone."""
        async with AsyncExitStack() as opened:
            opened.callback(self._opened.close)
            self._messages, writer = await asyncio.open_unix_connection(
                sock=self._control.dup(), limit=_MAX_LINE
            )
            opened.callback(writer.close)
            opened.push_async_callback(self.end)
            with suppress(OSError):  # it has gone: what it said is still to be read
                socket.send_fds(self._control, [b"."], directories)
                writer.write(json.dumps(order).encode() + b"\n")
                await writer.drain()
            yield

    async def began(self) -> bool:
        """Whether it took the order: it may have died with its server before."""
        try:
            await self._next("begun")
        except SystemFailure:
            return False
        return True

    async def answer(self) -> Any:
        """Wait for its end; what it tells, or its failure."""
        return await self._next("done")

    def drop(self) -> None:
        """Ask nothing of it: it ends."""
        self.kill()
        self._opened.close()


class Workers(Births):
    """Makes them. Every order raises NotFound and InvalidArgument for files that are not as it says or are hostile, and
    SystemFailure for the host's faults; what was done until then stays. When cancelled, its process is ended.

    While there is work one more is born ahead, so that the next order need not wait for it.
    """

    def __init__(self) -> None:
        """No process is there before the first order."""
        super().__init__("runtime.copying.server", _PATIENCE)
        self._ahead: asyncio.Task[_Worker] | None = None

    async def change(
        self, root: Path, sources: Sequence[Path], actions: Sequence[Action], epoch: int | None = None
    ) -> None:
        """Do actions in `root`, which nobody else changes; `sources` are the directories that are copied from.

        `epoch`, in Unix seconds, is the time of what has none of its own, None for now.
        """
        order = {"verb": "change", "actions": [encode(action) for action in actions], "epoch": epoch}
        await self._told(order, [root, *sources])

    async def digest(self, source: Path, selection: Selection) -> str:
        """The digest of what is selected, "sha256:…"; see runtime.copying.digests. What is little needs no process."""
        quick = await asyncio.to_thread(_quickly, source, partial(digests.of_selection, wanted=selection))
        return quick or str(await self._told({"verb": "digest", "selection": selection}, [source]))

    async def digest_path(self, source: Path, path: str) -> str:
        """The same of what is at a path, with all in it."""
        quick = await asyncio.to_thread(_quickly, source, partial(digests.of_path, path=path))
        return quick or str(await self._told({"verb": "digest path", "path": path}, [source]))

    async def pack(self, upper: Path, file: int) -> Packed:
        """Write the layer of an overlay's upper directory, which nobody changes, to an open file."""
        async with self._worker({"verb": "pack"}, [upper], file) as worker:
            return Packed(*await worker.answer())

    async def unpack(
        self, archive: AsyncIterator[bytes], into: Path, owner: tuple[int, int] | None = None
    ) -> None:
        """Unpack an archive, compressed or not, into a directory that nobody else changes; all in it gets `owner`."""
        async with self._worker({"verb": "unpack", "owner": owner}, [into]) as worker:
            await worker.feed(archive)

    async def _told(self, order: dict[str, Any], directories: Sequence[Path]) -> Any:
        async with self._worker(order, directories) as worker:
            return await worker.answer()

    @asynccontextmanager
    async def _worker(
        self, order: dict[str, Any], directories: Sequence[Path], *passed_on: int
    ) -> AsyncGenerator[_Worker, None]:
        if len(directories) > _MOST:
            raise InvalidArgument(f"a step cannot copy from more than {_MOST - 1} sources")
        with self._at_work(), ExitStack() as passed:
            fds = [*(_open(passed, directory) for directory in directories), *passed_on]
            for _ in range(_ASKED):
                worker = await self._taken()
                async with worker.ordered(order, fds):
                    if await worker.began():
                        passed.close()
                        yield worker
                        return
            raise SystemFailure(f"cannot copy: no process came to do it{await self._forker.why()}")

    async def _taken(self) -> _Worker:
        """A worker; the next one is on its way."""
        while (ahead := self._ahead) is not None:
            await asyncio.wait([ahead])
            if self._ahead is ahead:
                self._ahead = None
                break
        else:
            ahead = None
        worker = None
        if ahead is not None and ahead.exception() is None:
            worker = ahead.result()
            if not worker.alive:
                worker.drop()
                worker = None
        if worker is None:
            worker = await self._new()
        if self._ahead is None:
            self._ahead = asyncio.get_running_loop().create_task(self._new())
        return worker

    async def _new(self) -> _Worker:
        with ExitStack() as opened:
            pidfd, control, data = await self._born(opened)
            return _Worker(opened.pop_all(), pidfd, control, data)

    def _let_go(self) -> None:
        if self._ahead is not None and self._ahead.done():
            self._forget(self._ahead)
            self._ahead = None
        super()._let_go()

    def _forget(self, ahead: "asyncio.Task[_Worker]") -> None:
        if not ahead.cancelled() and ahead.exception() is None:
            ahead.result().drop()

    async def close(self) -> None:
        """Let the server end, and workers with it."""
        if (ahead := self._ahead) is not None:
            self._ahead = None
            ahead.cancel()
            await asyncio.wait([ahead])
            self._forget(ahead)
        await super().close()


def _open(opened: ExitStack, directory: Path) -> int:
    try:
        fd = os.open(directory, _DIRECTORY)
    except OSError as error:
        raise SystemFailure(f"cannot open {directory}: {error.strerror}") from error
    opened.callback(os.close, fd)
    return fd


def _quickly(source: Path, digest: Callable[..., str]) -> str:
    """A digest here and now, "" where there is much to look at or the host has something against it."""
    with ExitStack() as opened:
        try:
            return digest(_open(opened, source), little=Little(_LITTLE_NAMES, _LITTLE_BYTES))
        except (TooMuch, OSError, ValueError):
            return ""
