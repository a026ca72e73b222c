"""Work on a build's files, the daemon's side: one process for each order, and none is left behind."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from errdefs import InvalidArgument, SystemFailure
from runtime.archive.births import Births
from runtime.archive.workers import Copy
from runtime.copying.order import Action, Selection, encode

_PATIENCE = 30.0  # seconds that a server without work stays: steps between two COPY may take that
_MAX_LINE = 16 << 20
_MOST = 200  # directories of an order
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class _Worker(Copy):
    async def answer(self) -> Any:
        """Wait for its end; what it tells, or its failure."""
        return await self._next("done")


class Workers(Births):
    """Makes them. Every order raises NotFound and InvalidArgument for files that are not as it says or are hostile, and
    SystemFailure for the host's faults; what was done until then stays. When cancelled, its process is ended.
    """

    def __init__(self) -> None:
        """No process is there before the first order."""
        super().__init__("runtime.copying.server", _PATIENCE)

    async def change(
        self, root: Path, sources: Sequence[Path], actions: Sequence[Action], epoch: int | None = None
    ) -> None:
        """Do actions in `root`, which nobody else changes; `sources` are the directories that are copied from.

        `epoch`, in Unix seconds, is the time of what has none of its own, None for now.
        """
        order = {"verb": "change", "actions": [encode(action) for action in actions], "epoch": epoch}
        await self._told(order, [root, *sources])

    async def digest(self, source: Path, selection: Selection) -> str:
        """The digest of what is selected, "sha256:…"; see runtime.copying.digests."""
        return str(await self._told({"verb": "digest", "selection": selection}, [source]))

    async def digest_path(self, source: Path, path: str) -> str:
        """The same of what is at a path, with all in it."""
        return str(await self._told({"verb": "digest path", "path": path}, [source]))

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
        self, order: dict[str, Any], directories: Sequence[Path]
    ) -> AsyncGenerator[_Worker, None]:
        if len(directories) > _MOST:
            raise InvalidArgument(f"a step cannot copy from more than {_MOST - 1} sources")
        async with AsyncExitStack() as opened:
            opened.enter_context(self._at_work())
            with ExitStack() as passed:
                fds = [_open(passed, directory) for directory in directories]
                pidfd, control, data = await self._born(opened, fds)
            messages, writer = await asyncio.open_unix_connection(sock=control.dup(), limit=_MAX_LINE)
            opened.callback(writer.close)
            worker = _Worker(pidfd, messages, data)
            opened.push_async_callback(worker.end)
            with suppress(ConnectionError):  # it has gone: what it said is still to be read
                writer.write(json.dumps(order).encode() + b"\n")
                await writer.drain()
            yield worker


def _open(opened: ExitStack, directory: Path) -> int:
    try:
        fd = os.open(directory, _DIRECTORY)
    except OSError as error:
        raise SystemFailure(f"cannot open {directory}: {error.strerror}") from error
    opened.callback(os.close, fd)
    return fd
