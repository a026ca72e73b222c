"""Blobs on their way, in or out: so many at once, each in so many attempts."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.images.sharing import Report
from engine.progress import Message
from engine.registry.errors import Transient

_log = logging.getLogger(__name__)
_EVERY = 0.1  # seconds between two messages of how far it is
_ENOUGH = 64 << 10  # bytes for which an attempt was worth its while: the next comes at once, and counts anew
_PATIENCE = 5  # seconds more before each further attempt


class Slots:
    """Places for so many at once; 0: for all."""

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once) if at_once else None

    @asynccontextmanager
    async def one(self, shown: str, tell: Report) -> AsyncIterator[None]:
        """Have a place; who has to wait for it tells so on the line `shown`."""
        if self._free is None:
            yield
            return
        if self._free.locked():
            tell(Message.step(shown, "Waiting"))
        async with self._free:
            yield


class Attempts:
    """The attempts at one blob, and its line of progress. `what` names it in the log ("download of sha256:…")."""

    def __init__(self, what: str, shown: str, size: int, most: int, tell: Report) -> None:
        self._what = what
        self._shown = shown
        self._size = size
        self._most = most
        self._tell = tell
        self._failed = 0
        self._told = 0.0

    def step(self, status: str) -> None:
        """Tell what is done now."""
        self._tell(Message.step(self._shown, status))

    def count(self, status: str, current: int) -> None:
        """Tell now and then how many bytes have gone by."""
        now = time.monotonic()
        if now - self._told >= _EVERY or current == self._size:
            self._told = now
            self._tell(Message.counted(self._shown, status, current, self._size))

    async def another(self, failure: Transient, brought: int) -> None:
        """Wait before the next attempt, after one that failed and brought so many bytes; the failure after the last."""
        if brought >= _ENOUGH:
            self._failed = 0
            return
        self._failed += 1
        _log.info("%s failed (%d/%d): %s", self._what, self._failed, self._most, failure.message)
        if self._failed >= self._most:
            raise failure
        await self._wait(self._failed * _PATIENCE if failure.retry_after is None else failure.retry_after)

    async def _wait(self, seconds: float) -> None:
        left = max(1, round(seconds))
        while left:
            self.step(f"Retrying in {left} second{'' if left == 1 else 's'}")
            await asyncio.sleep(1)
            left -= 1
