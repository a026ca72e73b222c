"""Work on a build's files, the daemon's side: one process for each order, and none is left behind."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from errdefs import InvalidArgument, SystemFailure
from runtime.archive.births import Births
from runtime.archive.copy import Copy
from runtime.copying import digests
from runtime.copying.listing import Little, TooMuch
from runtime.copying.order import Action, Selection, encode
from runtime.layers.digesting import Packed

_PATIENCE = 30.0  # seconds that a server without work stays: steps between two COPY may take that
_MAX_LINE = 16 << 20
_LITTLE_NAMES, _LITTLE_BYTES = 200, 1 << 20  # what a thread looks at before a process is asked
_MOST = 200  # directories of an order
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Workers(Births):
    """Makes them. Every order raises NotFound and InvalidArgument for files that are not as it says or are hostile, and
    SystemFailure for the host's faults; what was done until then stays. When cancelled, its process is ended.
    """

    def __init__(self) -> None:
        """No process is there before the first order."""
        super().__init__("runtime.copying.server", _PATIENCE, _MAX_LINE)

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
            return Packed(*await worker.done())

    async def unpack(
        self, archive: AsyncIterator[bytes], into: Path, owner: tuple[int, int] | None = None
    ) -> None:
        """Unpack an archive, compressed or not, into a directory that nobody else changes; all in it gets `owner`."""
        async with self._worker({"verb": "unpack", "owner": owner}, [into]) as worker:
            await worker.feed(archive)

    async def _told(self, order: dict[str, Any], directories: Sequence[Path]) -> Any:
        async with self._worker(order, directories) as worker:
            return await worker.done()

    @asynccontextmanager
    async def _worker(
        self, order: dict[str, Any], directories: Sequence[Path], *passed_on: int
    ) -> AsyncGenerator[Copy, None]:
        if len(directories) > _MOST:
            raise InvalidArgument(f"a step cannot copy from more than {_MOST - 1} sources")
        with ExitStack() as passed:
            fds = [*(_open(passed, directory) for directory in directories), *passed_on]
            async with self._asked(order, fds) as worker:
                passed.close()
                yield worker


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
