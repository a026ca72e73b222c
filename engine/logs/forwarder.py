"""Sending a container's log to where its driver says, from the files that the shim writes.

The container never waits for it: what the other side does not take waits on disk, within the bounds of the local
log, and what falls out of those unsent is counted.
"""

import asyncio
import errno
import functools
import logging
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

from engine.logs.drivers.target import Batch, Link, Target
from engine.logs.files import LogFiles
from engine.logs.inotify import News, watching
from engine.logs.messages import Messages
from engine.logs.numbering import records_written
from engine.logs.progress import Progress
from engine.logs.threads import in_thread, wake_when

BATCH = 64 * 1024
"""Bytes of the log that are sent at once: so much may be sent twice when the daemon or the connection dies."""
STUCK = 10.0
"""Seconds after which it is told that the other side takes nothing. The batch goes on waiting for it."""
TOLD = 10.0
"""Seconds between two reports of what was dropped."""
_LEAST = 4096  # bytes of a batch, however small the limit
_POLL = 0.25  # seconds between looks where the kernel does not tell
_GROWTH = 1.5  # of the wait between two attempts

_log = logging.getLogger(__name__)


class Forwarder:
    """Sends one log. `limit`: bytes that may wait unsent while the other side is slow, None for all that is kept.

    `dropped` is called with the number of records that were lost, not more than every ten seconds.
    """

    def __init__(
        self,
        name: str,
        path: str,
        target: Target,
        *,
        limit: int | None,
        dropped: Callable[[int], Awaitable[None]],
    ) -> None:
        self.reachable = True
        self._name = name
        self._path = path
        self._target = target
        self._limit = limit
        self._dropped = dropped
        self._link: Link | None = None
        block = BATCH if limit is None else max(_LEAST, min(BATCH, limit // 4))
        self._files = LogFiles(path, block=block)
        self._progress = Progress(path)
        self._messages = Messages(0)
        self._caught_up = False
        self._wait = target.retry.first
        self._untold = 0
        self._told_at = 0.0

    async def run(self, ended: asyncio.Event) -> None:
        """Send what there is and what comes, until `ended` is set and all was sent."""
        self._progress = await in_thread(functools.partial(Progress.load, self._path))
        self._messages = Messages(self._progress.records)
        news = News()
        try:
            with ExitStack() as stack:
                told = stack.enter_context(watching(os.path.dirname(self._path), news))
                wake_when(ended, news, stack)
                await self._follow(ended, news, told=told)
        finally:
            self._unlink()
            self._files.close()
            self._progress.close()

    async def give_up(self) -> None:
        """After `run` was cancelled for good: tell what is left unsent. The files are still there."""
        self._untold += await in_thread(self._count_rest)
        await self._tell(at_once=True)

    async def _follow(self, ended: asyncio.Event, news: News, *, told: bool) -> None:
        is_open = False
        while True:
            news.take()
            over = ended.is_set()
            is_open = is_open or await in_thread(self._open)
            lines = await in_thread(functools.partial(self._next, last=over)) if is_open else b""
            if lines:
                await self._deliver(lines)
            else:
                self._caught_up = True
            await self._tell(at_once=over and not lines)
            if not lines:
                if over:
                    return
                await _woken(news, told=told)

    def _open(self) -> bool:
        """Go to where the last daemon was, or to the oldest record."""
        place = self._progress.place
        self._caught_up = place is None
        if place is not None and self._files.resume(place):
            return True
        return self._files.open(None, follow=True)

    def _next(self, *, last: bool) -> bytes:
        """The next lines; those that are too many for the limit, or are gone already, are counted as dropped."""
        while self._over_limit() and (lines := self._files.read(last=last)):
            self._count_missed()
            self._pass_over(lines.count(b"\n"))
        lines = self._files.read(last=last)
        self._count_missed()
        return lines

    def _over_limit(self) -> bool:
        return self._limit is not None and self._caught_up and self._files.backlog() > self._limit

    def _count_missed(self) -> None:
        """After files that were never read were rotated away."""
        if self._files.missed_any():
            before = self._files.records_before()
            self._pass_over(1 if before is None else max(before - self._progress.records, 0))

    def _pass_over(self, count: int) -> None:
        self._progress.records += count
        self._messages.pass_over(count)
        self._count(count)

    def _count(self, count: int) -> None:
        self._progress.dropped += count
        self._untold += count

    def _count_rest(self) -> int:
        return max(records_written(self._path) - self._progress.records, 0)

    async def _deliver(self, lines: bytes) -> None:
        batch = await in_thread(lambda: self._target.encode(self._messages.of(lines)))
        count = lines.count(b"\n") or 1
        if not await self._sent(batch):
            self._count(count)
        self._progress.records += count
        self._progress.place = self._files.place
        await in_thread(self._progress.save)

    async def _sent(self, batch: Batch) -> bool:
        """Send it, however long that takes. False if it was given up: after all attempts, or for what waits behind."""
        retry = self._target.retry
        failures = 0
        while True:
            if not self.reachable:
                if await in_thread(self._over_limit):
                    return False
                await asyncio.sleep(self._wait)
                self._wait = min(self._wait * _GROWTH, retry.most)
            try:
                await self._send(batch)
            except OSError as error:
                self._unlink()
                failures += 1
                self._note(error)
            else:
                self._note(None)
                self._wait = retry.first
                return True
            if retry.times is not None and failures > retry.times:
                return False

    async def _send(self, batch: Batch) -> None:
        """Send it; one who does not take it for long is told of as one who cannot be reached."""
        if self._link is None:
            self._link = await self._target.connect()
        stuck = OSError(errno.ETIMEDOUT, f"nothing was taken for {STUCK:g} seconds")
        timer = asyncio.get_running_loop().call_later(STUCK, self._note, stuck)
        try:
            await self._link.send(batch)
        finally:
            timer.cancel()

    def _note(self, error: OSError | None) -> None:
        """Tell once that the other side cannot be reached, and once that it can."""
        if error is not None and self.reachable:
            why = error.strerror or str(error) or type(error).__name__
            _log.warning("container %s: its log cannot be sent and is kept meanwhile: %s", self._name, why)
        if error is None and not self.reachable:
            _log.info("container %s: its log is sent again", self._name)
        self.reachable = error is None

    def _unlink(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    async def _tell(self, *, at_once: bool) -> None:
        now = time.monotonic()
        if self._untold and (at_once or now - self._told_at >= TOLD):
            count, self._untold, self._told_at = self._untold, 0, now
            _log.warning("container %s: %d records of its log were dropped unsent", self._name, count)
            await self._dropped(count)


async def _woken(news: News, *, told: bool) -> None:
    if told:
        await news.wait()
        return
    try:
        async with asyncio.timeout(_POLL):
            await news.wait()
    except TimeoutError:
        return
