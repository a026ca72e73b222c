"""Repositories as steps take files of them. What is in one is a matter of its commit: one that was checked out before
is known by it, and is fetched again only if a step needs its files.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

from engine.build.contexts.repository import Repository
from engine.build.refs import Tree

_REMEMBERED = 1024  # checkouts
Fetching = Callable[[], AbstractAsyncContextManager[Path]]


class Checkouts:
    """Those that went well, since the daemon has begun."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = OrderedDict()

    async def tree(self, name: str, fetching: Fetching, held: AsyncExitStack) -> Tree:
        """The files of a checkout of that `name`, for as long as they are held. Raises what fetching it raises."""
        files = _Fetched(fetching, held)
        if name in self._known:
            self._known.move_to_end(name)
            return Tree(files.place, name)
        path = await files.place()
        self._known[name] = None
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return Tree(path, name)


class _Fetched:
    """The files of a checkout, once they are needed."""

    def __init__(self, fetching: Fetching, held: AsyncExitStack) -> None:
        self._fetching = fetching
        self._held = held
        self._lock = asyncio.Lock()
        self._path: Path | None = None

    async def place(self) -> Path:
        async with self._lock:
            if self._path is None:
                self._path = await self._held.enter_async_context(self._fetching())
            return self._path


def name_of(repository: Repository, number: str, *, keep: bool) -> str:
    """What names a checkout: the number of its commit, or of the tag of one, and all that its files depend on."""
    options = (repository.subdirectory, repository.checksum, repository.submodules, keep)
    return f"git {number} {repository.remote} {options}"
