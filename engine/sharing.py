"""Work by key that is done once for all who want it at the same time, and given up when nobody does any more."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
Listener = TypeVar("Listener", bound=Callable[..., Any])


class Voice(Protocol[Listener]):
    """What one work says, passed on to all who listen: it is told as they are."""

    @property
    def tell(self) -> Listener:
        """Takes what the work says."""

    async def enter(self, listener: Listener) -> None:
        """Listen from now on; what was said before may be told again."""

    def leave(self, listener: Listener) -> None:
        """Listen no more, who came or was about to."""


class Sharing(Generic[T, Listener]):
    """Works that are going on; each has a voice of its own."""

    def __init__(self, voice: Callable[[], Voice[Listener]]) -> None:
        self._voice = voice
        self._works: dict[str, _Work[T, Listener]] = {}

    @asynccontextmanager
    async def join(
        self, key: str, make: Callable[[Listener], AbstractAsyncContextManager[T]], listener: Listener
    ) -> AsyncIterator[T]:
        """The result of the work of that key, begun now if it is not going on. What it fails with, all get.

        `make` begins it; its result is good until the context is left. Who leaves last ends it.
        """
        while (work := self._works.get(key)) is not None and work.ending:
            await work.ended()
        if work is None:
            work = self._works[key] = _Work(make, self._voice())
            work.task.add_done_callback(lambda _: self._works.pop(key, None))
        work.here += 1
        try:
            yield await work.result(listener)
        finally:
            await work.leave(listener)


class _Work(Generic[T, Listener]):
    def __init__(
        self, make: Callable[[Listener], AbstractAsyncContextManager[T]], voice: Voice[Listener]
    ) -> None:
        loop = asyncio.get_running_loop()
        self.here = 0
        self.ending = False
        self._voice = voice
        self._result: asyncio.Future[T] = loop.create_future()
        self._left = asyncio.Event()
        self.task = loop.create_task(self._run(make))

    async def result(self, listener: Listener) -> T:
        await self._voice.enter(listener)
        return await asyncio.shield(self._result)

    async def leave(self, listener: Listener) -> None:
        self.here -= 1
        self._voice.leave(listener)
        if self.here:
            return
        self.ending = True
        if self._result.done():
            self._left.set()
        else:
            self.task.cancel()
        await self.ended()

    async def ended(self) -> None:
        await asyncio.wait([self.task])

    async def _run(self, make: Callable[[Listener], AbstractAsyncContextManager[T]]) -> None:
        try:
            async with make(self._voice.tell) as result:
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
