"""Directories of a build that others may need longer than the build itself goes on."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager


class Lending:
    """`held` is closed when the last one who needs it has left."""

    def __init__(self) -> None:
        self.held = AsyncExitStack()
        self._needed = 0

    @asynccontextmanager
    async def needed(self) -> AsyncIterator[None]:
        """All of it stays for as long as the block lasts."""
        self._needed += 1
        try:
            yield
        finally:
            self._needed -= 1
            if not self._needed:
                await self.held.aclose()
