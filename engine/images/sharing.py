"""Work by key that is done once for all who want it at the same time, and given up when nobody does any more."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Generic, TypeVar

from engine.progress import Message

T = TypeVar("T")
Report = Callable[[Message], None]
"""Takes a line of progress; never waits."""
Make = Callable[[Report], AbstractAsyncContextManager[T]]
"""Begins the work, which reports. Its result is good until the context is left."""


class Sharing(Generic[T]):
    """Works that are going on."""

    def __init__(self) -> None:
        self._works: dict[str, _Work[T]] = {}

    @asynccontextmanager
    async def join(self, key: str, make: Make[T], report: Report) -> AsyncIterator[T]:
        """The result of the work of that key, begun now if it is not going on. What it fails with, all get.

        Who leaves last ends it.
        """
        while (work := self._works.get(key)) is not None and work.ending:
            await work.ended()
        if work is None:
            work = self._works[key] = _Work(make)
            work.task.add_done_callback(lambda _: self._works.pop(key, None))
        work.enter(report)
        try:
            yield await work.result()
        finally:
            await work.leave(report)


class _Work(Generic[T]):
    def __init__(self, make: Make[T]) -> None:
        loop = asyncio.get_running_loop()
        self.ending = False
        self._reports: list[Report] = []
        self._latest: Message | None = None
        self._result: asyncio.Future[T] = loop.create_future()
        self._left = asyncio.Event()
        self.task = loop.create_task(self._run(make))

    def enter(self, report: Report) -> None:
        self._reports.append(report)
        if self._latest is not None:
            report(self._latest)

    async def result(self) -> T:
        return await asyncio.shield(self._result)

    async def leave(self, report: Report) -> None:
        self._reports.remove(report)
        if self._reports:
            return
        self.ending = True
        if self._result.done():
            self._left.set()
        else:
            self.task.cancel()
        await self.ended()

    async def ended(self) -> None:
        await asyncio.wait([self.task])

    def _tell(self, message: Message) -> None:
        self._latest = message
        for report in self._reports:
            report(message)

    async def _run(self, make: Make[T]) -> None:
        try:
            async with make(self._tell) as result:
                self._result.set_result(result)
                await self._left.wait()
        except asyncio.CancelledError as error:
            _let_go(error)
            raise
        except Exception as error:
            _let_go(error)
            self.ending = True
            if self._result.done():
                raise
            self._result.set_exception(error)
            self._result.exception()  # whoever wanted it may be gone
        finally:
            self._result.cancel()


def _let_go(failure: BaseException) -> None:
    """Of what the failed steps were about: megabytes of a blob, until somebody looks for garbage."""
    traceback.clear_frames(failure.__traceback__)
