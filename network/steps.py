"""Steps that are never left half done, whoever is cancelled meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import errdefs

T = TypeVar("T")


class Steps:
    """Owner of the tasks in which the steps run."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def whole(self, work: Coroutine[Any, Any, T], undo: Callable[[T], Awaitable[None]]) -> T:
        """What `work` returns. When the caller is cancelled, the work ends all the same and is then undone, before
        the caller goes on (unless it is cancelled again).
        """
        task = self.spawn(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.shield(self.spawn(_take_back(task, undo)))
            raise

    async def to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns. A caller that is cancelled does not stop it, and waits for its end."""
        task = self.spawn(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            with contextlib.suppress(errdefs.WherryError, OSError):
                await asyncio.shield(task)
            raise

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run it in a task that is kept until its end."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _take_back(task: asyncio.Task[T], undo: Callable[[T], Awaitable[None]]) -> None:
    with contextlib.suppress(errdefs.WherryError, OSError):
        await undo(await task)
