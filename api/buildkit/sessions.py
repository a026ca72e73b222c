"""The sessions of clients that are connected, by the ids under which builds name them."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

import errdefs
from engine.build.session import Session

_PATIENCE: Final = 5.0  # seconds that a session has to come in, once a build needs it


class Sessions:
    """Who is there."""

    def __init__(self) -> None:
        self._found: dict[str, Session] = {}
        self._joined = asyncio.Event()

    @contextlib.contextmanager
    def joined(self, name: str, session: Session) -> Iterator[None]:
        """Keep a session for as long as the block lasts; the newest of a name counts."""
        self._found[name] = session
        self._joined.set()
        self._joined = asyncio.Event()
        try:
            yield
        finally:
            if self._found.get(name) is session:
                del self._found[name]

    async def get(self, name: str) -> Session:
        """The session of that id. Unavailable if it does not come in."""
        name = name.rpartition(":")[2]  # clients may put before it what keeps their contexts apart
        try:
            async with asyncio.timeout(_PATIENCE):
                while name not in self._found:
                    await self._joined.wait()
        except TimeoutError:
            raise errdefs.Unavailable(f"no active session for {name}: context deadline exceeded") from None
        return self._found[name]
