"""What is told of an export while it goes on: a vertex of its own, and a line for each thing that it does."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from engine.build.progress import Status, VertexState, Watch
from engine.build.session import Meter
from engine.ids import new_id
from engine.progress import Message

_EVERY = 100_000_000  # nanoseconds between two messages of one count


class Reporting:
    """One vertex. Made by `vertex`."""

    def __init__(self, watch: Watch, digest: str) -> None:
        self._watch = watch
        self._digest = digest

    @classmethod
    @asynccontextmanager
    async def vertex(cls, watch: Watch, name: str) -> AsyncIterator["Reporting"]:
        """The vertex, from its begin to its end; it tells of a failure, too."""
        state = VertexState(digest=f"sha256:{new_id()}", name=name, started=time.time_ns())
        await watch(state)
        try:
            yield cls(watch, state.digest)
        except Exception as error:
            await watch(msgspec.structs.replace(state, completed=time.time_ns(), error=str(error)))
            raise
        await watch(msgspec.structs.replace(state, completed=time.time_ns()))

    @asynccontextmanager
    async def line(self, name: str) -> AsyncIterator[None]:
        """Something that is done meanwhile."""
        began = time.time_ns()
        await self._watch(Status(vertex=self._digest, id=name, timestamp=began, started=began))
        yield
        ended = time.time_ns()
        await self._watch(
            Status(vertex=self._digest, id=name, timestamp=ended, started=began, completed=ended)
        )

    @asynccontextmanager
    async def counted(self, name: str) -> AsyncIterator[Meter]:
        """Something of which the bytes are counted."""
        began, told, seen = time.time_ns(), 0, 0

        async def count(current: int) -> None:
            nonlocal told, seen
            now, seen = time.time_ns(), current
            if now - told >= _EVERY:
                told = now
                await self._watch(self._count(name, current, began, now))

        await count(0)
        yield count
        ended = time.time_ns()
        await self._watch(msgspec.structs.replace(self._count(name, seen, began, ended), completed=ended))

    def _count(self, name: str, current: int, began: int, now: int) -> Status:
        return Status(vertex=self._digest, id=name, current=current, started=began, timestamp=now)

    async def transfer(self, message: Message) -> None:
        """A `Progress` of what is on its way into a registry: the lines of its layers."""
        detail = message.progress_detail
        if not message.id or detail is None or not detail.total:
            return
        now = time.time_ns()
        done = now if detail.current >= detail.total else 0
        await self._watch(
            Status(
                vertex=self._digest,
                id=f"pushing layer {message.id}",
                current=detail.current,
                total=detail.total,
                timestamp=now,
                started=now,
                completed=done,
            )
        )
