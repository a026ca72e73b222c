"""Steps that several builds want at the same time: done once, told to all, given up when nobody wants them any more."""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

import errdefs
from engine import sharing

_log = logging.getLogger(__name__)

T = TypeVar("T")
Output = Callable[[int, bytes], Awaitable[None]]
"""Takes output of a stream; a reader that is slow makes the step wait."""
_TOLD_AGAIN = 128 << 10  # bytes of output that who comes late is told


class Shared(sharing.Sharing[T, Output]):
    """Those that are going on."""

    def __init__(self) -> None:
        super().__init__(_Said)


class _Said:
    def __init__(self) -> None:
        self._outputs: list[Output] = []
        self._said: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._count = 0  # of all that was said

    async def tell(self, stream: int, data: bytes) -> None:
        self._said.append((stream, data))
        self._bytes += len(data)
        self._count += 1
        while self._bytes > _TOLD_AGAIN and len(self._said) > 1:
            self._bytes -= len(self._said.popleft()[1])
        for output in list(self._outputs):
            try:
                await output(stream, data)
            except (OSError, errdefs.WherryError):
                _log.debug("a build cannot be told output any more", exc_info=True)
                self.leave(output)

    async def enter(self, output: Output) -> None:
        at = 0
        while (at := max(at, self._count - len(self._said))) < self._count:
            await output(*self._said[at - self._count])
            at += 1
        self._outputs.append(output)

    def leave(self, output: Output) -> None:
        if output in self._outputs:
            self._outputs.remove(output)
