"""Lines of progress between works that must not wait and a client that may read slowly."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from engine.progress import Message, Progress

T = TypeVar("T")


class Lines:
    """Lines not sent yet: of those that tell of the same step, the latest; and all for machines."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._pending: dict[tuple[str, str, str], Message] = {}
        self._changed = asyncio.Event()
        self._ending = False

    def post(self, message: Message) -> None:
        """Have a line sent, soon."""
        step = message.id, message.status, str(message.aux or "")
        self._pending.pop(step, None)
        self._pending[step] = message
        self._changed.set()

    async def during(self, work: Coroutine[Any, Any, T]) -> T:
        """Send lines while the work goes on, and all of them before its result or failure is told.

        A client that cannot be told any more ends the work.
        """
        loop = asyncio.get_running_loop()
        working, sending = loop.create_task(work), loop.create_task(self._send())
        try:
            await asyncio.wait([working, sending], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                self._ending = True
                self._changed.set()
            else:
                working.cancel()
            await asyncio.wait([working, sending])
        finally:
            unfinished = [task for task in (working, sending) if not task.done()]
            for task in unfinished:
                task.cancel()
            if unfinished:
                await asyncio.wait(unfinished)
            failed = [task.exception() for task in (working, sending) if not task.cancelled()]
        if not working.cancelled() and failed[0] is not None:
            raise failed[0]
        sending.result()
        return working.result()

    async def _send(self) -> None:
        while self._pending or not self._ending:
            await self._changed.wait()
            self._changed.clear()
            pending, self._pending = self._pending, {}
            for message in pending.values():
                await self._progress(message)
