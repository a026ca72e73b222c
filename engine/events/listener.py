"""One who listens to events: a bounded queue that falls back to the store when it overflows."""

import asyncio
import functools
import time
from collections import deque

import errdefs
from engine.database import Database
from engine.events import store
from engine.events.event import Event

QUEUE_LIMIT = 1024


class Listener:
    """A place in the stream of events. `cursor` is the sequence number of the last event that was taken."""

    def __init__(self, database: Database, cursor: int):
        self.cursor = cursor
        self._database = database
        self._queue: deque[tuple[int | None, Event]] = deque()
        self._behind = False  # the queue overflowed: what comes next is read from the store
        self._closed = False
        self._wake = asyncio.Event()

    def tell(self, seq: int | None, event: Event) -> None:
        """Hand over an event; `seq` is None for one that could not be stored. Never waits."""
        self._wake.set()
        if self._behind and seq is not None:
            return
        if len(self._queue) >= QUEUE_LIMIT:
            self._queue.clear()
            self._behind = True
            return
        self._queue.append((seq, event))

    def close(self) -> None:
        """No more will be told."""
        self._closed = True
        self._wake.set()

    async def next(self, until_ns: int | None) -> Event | None:
        """The next event, None at `until_ns` (Unix nanoseconds) or when closed.

        errdefs.Unavailable if events that were not taken yet are forgotten already.
        """
        while True:
            event = self._take()
            if event is not None:
                return event if until_ns is None or event.time_ns <= until_ns else None
            if self._behind:
                await self._catch_up()
            elif self._closed or not await self._woken(until_ns):
                return None

    def _take(self) -> Event | None:
        while self._queue:
            seq, event = self._queue.popleft()
            if seq is None or seq > self.cursor:
                self.cursor = seq or self.cursor
                return event
        return None

    async def _catch_up(self) -> None:
        """Fill the queue from the store; what is told meanwhile comes after it, or from the next page."""
        self._behind = False
        page = await self._database.read(functools.partial(store.page_by_seq, after=self.cursor))
        if page and page[0][0] > self.cursor + 1:
            raise errdefs.Unavailable("the client reads events too slowly: some are no longer stored")
        told = list(self._queue)
        self._queue.clear()
        self._queue.extend(page)
        self._behind = self._behind or len(page) == store.PAGE
        if not self._behind:
            self._queue.extend(told)

    async def _woken(self, until_ns: int | None) -> bool:
        self._wake.clear()
        if until_ns is None:
            return await self._wake.wait()
        try:
            async with asyncio.timeout(max(until_ns - time.time_ns(), 0) / 1e9):
                return await self._wake.wait()
        except TimeoutError:
            return False
