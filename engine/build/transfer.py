"""Bytes that come for a build, counted for whoever watches it."""

import time

from engine.build.progress import Status, Watch


class Transfer:
    """One of them, told as a line of a vertex."""

    def __init__(self, watch: Watch, vertex: str, line: str) -> None:
        """It begins now."""
        self._watch = watch
        self._vertex = vertex
        self._line = line
        self._started = time.time_ns()
        self._count = 0
        self._total = 0

    async def tell(self, count: int, total: int = 0) -> None:
        """So many have come, of how many; 0 is unknown."""
        self._count, self._total = count, total
        await self._report(0)

    async def done(self, *, even_nothing: bool = False) -> None:
        """All have come; not a word of it if there were none."""
        if self._count or even_nothing:
            await self._report(time.time_ns())

    async def _report(self, completed: int) -> None:
        await self._watch(
            Status(
                vertex=self._vertex,
                id=self._line,
                name=self._line,
                current=self._count,
                total=self._total,
                timestamp=completed or time.time_ns(),
                started=self._started,
                completed=completed,
            )
        )
