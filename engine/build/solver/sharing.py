"""Steps that several builds want at the same time: done once, told to all, given up when nobody wants them any more."""

import asyncio
import logging
import traceback
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Generic, TypeVar

import errdefs

_log = logging.getLogger(__name__)

T = TypeVar("T")
Output = Callable[[int, bytes], Awaitable[None]]
"""Takes output of a stream; a reader that is slow makes the step wait."""
Make = Callable[[Output], AbstractAsyncContextManager[T]]
"""Begins the work. Its result is good until the context is left."""
_TOLD_AGAIN = 128 << 10  # bytes of output that who comes late is told


class Shared(Generic[T]):
    """Works that are going on, by key."""

    def __init__(self) -> None:
        self._works: dict[str, _Work[T]] = {}

    @asynccontextmanager
    async def join(self, key: str, make: Make[T], output: Output) -> AsyncIterator[T]:
        """The result of the work of that key, begun now if it is not going on. What it fails with, all get.

        Who leaves last ends it.
        """
        while (work := self._works.get(key)) is not None and work.ending:
            await work.ended()
        if work is None:
            work = self._works[key] = _Work(make)
            work.task.add_done_callback(lambda _: self._works.pop(key, None))
        try:
            yield await work.enter(output)
        finally:
            await work.leave(output)


class _Work(Generic[T]):
    def __init__(self, make: Make[T]) -> None:
        loop = asyncio.get_running_loop()
        self.ending = False
        self._here = 0
        self._outputs: list[Output] = []
        self._said: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._count = 0  # of all that was said
        self._result: asyncio.Future[T] = loop.create_future()
        self._left = asyncio.Event()
        self.task = loop.create_task(self._run(make))

    async def enter(self, output: Output) -> T:
        self._here += 1
        at = 0
        while (at := max(at, self._count - len(self._said))) < self._count:
            await output(*self._said[at - self._count])
            at += 1
        self._outputs.append(output)
        return await asyncio.shield(self._result)

    async def leave(self, output: Output) -> None:
        self._here -= 1
        if output in self._outputs:
            self._outputs.remove(output)
        if self._here:
            return
        self.ending = True
        if self._result.done():
            self._left.set()
        else:
            self.task.cancel()
        await self.ended()

    async def ended(self) -> None:
        await asyncio.wait([self.task])

    async def _tell(self, stream: int, data: bytes) -> None:
        self._said.append((stream, data))
        self._bytes += len(data)
        self._count += 1
        while self._bytes > _TOLD_AGAIN and len(self._said) > 1:
            self._bytes -= len(self._said.popleft()[1])
        for output in list(self._outputs):
            try:
                await output(stream, data)
            except (OSError, errdefs.WherryError):
                _log.debug("a build cannot be told output any more", exc_info=True)
                if output in self._outputs:
                    self._outputs.remove(output)

    async def _run(self, make: Make[T]) -> None:
        try:
            async with make(self._tell) as result:
                self._result.set_result(result)
                await self._left.wait()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            traceback.clear_frames(error.__traceback__)
            self.ending = True
            if self._result.done():
                raise
            self._result.set_exception(error)
            self._result.exception()  # whoever wanted it may be gone
        finally:
            self._result.cancel()
