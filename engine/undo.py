"""The undo stack of a verb: each step's inverse is pushed as soon as the step is done."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from engine import faults


class Undo:
    """Runs the inverses of the steps, last first, unless the verb ends with `done()`.

    `steps` are the names that the verb may use, in order; the crash tests take them from there. An inverse that
    fails does not keep the others from running.
    """

    def __init__(self, verb: str, steps: tuple[str, ...]) -> None:
        self._verb = verb
        self._steps = steps
        self._inverses = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._inverses.__aexit__(kind, error, trace)

    def step(self, name: str, inverse: Callable[[], Awaitable[object]] | None = None) -> None:
        """Note that the step `name` is done, and how to take it back."""
        if name not in self._steps:
            raise LookupError(f"{self._verb} has no step {name!r}")
        if inverse is not None:
            self._inverses.push_async_callback(inverse)
        faults.hit(f"{self._verb}.{name}")

    def done(self) -> None:
        """The verb succeeded: nothing is taken back."""
        self._inverses.pop_all()
