"""Progress of a pull, told to whoever watches a build."""

import time

from engine.build.progress import Status, Watch
from engine.progress import Message


class PullLines:
    """That of one vertex: a `Stream` of messages."""

    def __init__(self, watch: Watch, vertex: str) -> None:
        """By the vertex's digest."""
        self._watch = watch
        self._vertex = vertex
        self._started: dict[str, int] = {}

    async def __call__(self, message: Message) -> None:
        """Tell one."""
        now = time.time_ns()
        line = message.id or message.status
        detail = message.progress_detail
        done = message.status in ("Pull complete", "Already exists") or not message.id
        status = Status(
            vertex=self._vertex,
            id=line,
            name=message.status,
            current=detail.current if detail else 0,
            total=detail.total if detail else 0,
            timestamp=now,
            started=self._started.setdefault(line, now),
            completed=now if done else 0,
        )
        await self._watch(status)
