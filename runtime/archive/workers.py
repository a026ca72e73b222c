"""Copies from and to containers, the daemon's side."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from runtime.archive.births import Births
from runtime.archive.copy import Copy
from runtime.archive.order import View

_MAX_LINE = 1 << 16
_PATIENCE = (
    1.0  # seconds until an idle server is let go: `docker cp` asks twice, and is often called in a row
)


class Workers(Births):
    """Makes workers. The process that forks them is there while there are some, and a moment longer."""

    def __init__(self, directory: Path) -> None:
        """`directory`: an empty one of this daemon's own, on which each worker mounts what it sees. It is made."""
        super().__init__("runtime.archive.server", _PATIENCE, _MAX_LINE)
        self._directory = directory

    @property
    def at(self) -> str:
        """Where workers mount: `View.at`."""
        return str(self._directory)

    @asynccontextmanager
    async def copy(
        self, view: View, namespace: int | None, order: dict[str, Any]
    ) -> AsyncGenerator[Copy, None]:
        """A worker that does `order` in a view; after the block it is gone. SystemFailure when there can be none."""
        if self._forker.pid == 0:
            await asyncio.to_thread(self._directory.mkdir, mode=0o700, parents=True, exist_ok=True)
        passed = [] if namespace is None else [namespace]
        async with self._asked({**order, "view": view.encode()}, passed) as copy:
            yield copy
