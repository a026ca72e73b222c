"""The line that a client shows of a layer on its way in."""

import asyncio
import time
from typing import Self

from engine.images.reference import short_id
from engine.progress import Message, Progress, ProgressDetail

_EVERY = 0.1  # seconds between two messages of a layer


class Meter:
    """Reports how much of a layer's blob was read. `count` may be called from anywhere on the loop, often."""

    def __init__(self, progress: Progress, diff_id: str, total: int) -> None:
        self._progress = progress
        self._id = short_id(diff_id)
        self._total = total
        self._read = 0
        self._reported = -1
        self._changed = asyncio.Event()
        self._reporting: asyncio.Task[None] | None = None

    def count(self, read: int) -> None:
        """So many bytes were read up to now."""
        self._read = min(read, self._total)
        self._changed.set()

    async def done(self) -> None:
        """Report that all was read."""
        await self._stop()
        self._read = self._total
        if self._reported != self._total:
            await self._report()

    async def __aenter__(self) -> Self:
        """Begin to report."""
        self._reporting = asyncio.get_running_loop().create_task(self._keep_reporting())
        return self

    async def __aexit__(self, *error: object) -> None:
        """Stop reporting."""
        await self._stop()

    async def _keep_reporting(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            began = time.monotonic()
            await self._report()
            await asyncio.sleep(max(0, _EVERY - (time.monotonic() - began)))

    async def _report(self) -> None:
        self._reported = self._read
        detail = ProgressDetail(current=self._read, total=self._total)
        await self._progress(Message(status="Loading layer", progress_detail=detail, id=self._id))

    async def _stop(self) -> None:
        reporting, self._reporting = self._reporting, None
        if reporting is None:
            return
        reporting.cancel()
        await asyncio.wait([reporting])
        if not reporting.cancelled():
            reporting.result()  # the client is gone
