"""A start that is under way, and how it is called off: what it waits for may take for ever, or hang in the kernel."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import errdefs

PATIENCE = 5.0
"""Seconds that a start gets to come to its end before a kill or a removal by force calls it off."""
_T = TypeVar("_T")


class Starting:
    """One start. Its owner does as `part` what may take long, and says `over` when all is taken back or done."""

    def __init__(self, container_id: str) -> None:
        """Nothing of it is done."""
        self._id = container_id
        self._part: asyncio.Task[Any] | None = None
        self._called_off = asyncio.Event()
        self._over = asyncio.Event()

    async def part(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do `work`, which leaves nothing when it is cancelled. Conflict once the start is called off."""
        if self._called_off.is_set():
            work.close()
            raise self._refusal()
        self._part = task = asyncio.get_running_loop().create_task(work)
        try:
            return await task
        except asyncio.CancelledError:
            owner = asyncio.current_task()
            if self._called_off.is_set() and not (owner and owner.cancelling()):
                raise self._refusal() from None
            raise
        finally:
            self._part = None

    def over(self) -> None:
        """It is a start no more."""
        self._over.set()

    async def settle(self, seconds: float | None) -> bool:
        """Wait for its end, None without limit, and then call it off; whether it was called off."""
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            self._called_off.set()
            if self._part is not None:
                self._part.cancel()
            await self._over.wait()
        return self._called_off.is_set()

    def _refusal(self) -> errdefs.Conflict:
        return errdefs.Conflict(
            f"cannot start container {self._id}: it was to end before it had started; "
            "what it waited for may be a disk or network file system"
        )
