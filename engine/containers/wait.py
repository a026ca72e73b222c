"""Waiting for a container: until it does not run, until its next exit, until it is removed (API `/wait`)."""

import asyncio

import msgspec

import errdefs
from engine.containers.container import Container
from engine.containers.state import Status

NOT_RUNNING = "not-running"
NEXT_EXIT = "next-exit"
REMOVED = "removed"
CONDITIONS = (NOT_RUNNING, NEXT_EXIT, REMOVED)


class WaitResult(msgspec.Struct, frozen=True):
    """The exit code, 0 to 255, and what went wrong with the waiting or the removal."""

    code: int
    error: str = ""


class Waiting:
    """One who waits. Registered before the answer's headers go out, so that no exit is missed."""

    def __init__(self, waits: "Waits", condition: str) -> None:
        self._waits = waits
        self.condition = condition
        self._future: asyncio.Future[WaitResult] = asyncio.get_running_loop().create_future()

    async def result(self) -> WaitResult:
        """The result, as soon as the condition holds."""
        try:
            return await self._future
        finally:
            self.cancel()

    def resolve(self, result: WaitResult) -> None:
        """The condition holds."""
        if not self._future.done():
            self._future.set_result(result)

    def cancel(self) -> None:
        """Nobody waits any more."""
        self._waits.discard(self)


class Waits(msgspec.Struct):
    """Those who wait for one container."""

    waiting: set[Waiting] = msgspec.field(default_factory=set)

    def discard(self, waiting: Waiting) -> None:
        """Forget one of them."""
        self.waiting.discard(waiting)

    def ended(self, code: int) -> None:
        """The container does not run any more (it may start again)."""
        self._resolve((NOT_RUNNING, NEXT_EXIT), WaitResult(code))

    def removed(self, code: int, error: str = "") -> None:
        """The container is gone, or could not be removed; nothing more will happen to it."""
        self._resolve(CONDITIONS if not error else (REMOVED,), WaitResult(code, error))

    def _resolve(self, conditions: tuple[str, ...], result: WaitResult) -> None:
        for waiting in [each for each in self.waiting if each.condition in conditions]:
            waiting.resolve(result)
            self.discard(waiting)


def wait(container: Container, waits: Waits, condition: str) -> Waiting:
    """Register for a condition; it may hold already. InvalidArgument for an unknown one."""
    condition = condition or NOT_RUNNING
    if condition not in CONDITIONS:
        raise errdefs.InvalidArgument(f"invalid condition: {condition!r}".replace("'", '"'))
    waiting = Waiting(waits, condition)
    if condition == NOT_RUNNING and not (container.running or container.state.status is Status.RESTARTING):
        waiting.resolve(WaitResult(container.state.exit_code))
    else:
        waits.waiting.add(waiting)
    return waiting
