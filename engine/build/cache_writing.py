"""What builds put into the cache, written down: against the daemon's death as they answer, for good somewhat later."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import errdefs
from engine.build.solver.records import CacheStore

_log = logging.getLogger(__name__)
_REST = 1.0  # seconds from a build's end until the disk has to do with it again


class CacheWriting:
    """Writes it. `close` ends it."""

    def __init__(
        self, store: CacheStore, settle: Callable[[], Awaitable[None]], grown: Callable[[], None]
    ) -> None:
        """`settle` makes durable what records refer to; `grown` is told that something was written."""
        self._store = store
        self._settle = settle
        self._grown = grown
        self._flushing: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    async def close(self) -> None:
        """When no build goes on any more: write down what is left."""
        self._closing.set()
        await asyncio.gather(*self._flushing)
        await self._flush()

    async def keep(self) -> None:
        """Have the daemon's death, from the answer on, take nothing of the cache."""
        try:
            await self._store.keep()
        except errdefs.WherryError as error:
            _log.warning("the build cache could not be written down yet: %s", error)

    def note(self) -> None:
        """Have the cache written down, which nobody waits for: not the next build either, if that follows at once."""
        task = asyncio.get_running_loop().create_task(self._flush_later())
        self._flushing.add(task)
        task.add_done_callback(self._flushing.discard)

    async def _flush_later(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_REST):
                await self._closing.wait()
        await self._flush()

    async def _flush(self) -> None:
        try:
            if await self._store.flush(self._settle):
                self._grown()
        except errdefs.WherryError as error:
            _log.warning(
                "the build cache could not be written down, and is lost at the next start: %s", error
            )
