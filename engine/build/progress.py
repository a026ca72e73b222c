"""What a build tells while it goes on, as BuildKit's clients show it: vertices, what is counted in them, and output.

A vertex is told without `started`, again with it, and once more with `completed` and the same `started`.
"""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import msgspec

STDOUT, STDERR = 1, 2


class VertexState(msgspec.Struct, frozen=True, kw_only=True):
    """A step: `digest` identifies it in one build; times in Unix nanoseconds, 0 for not yet.

    `working`: no cache has it, and it is really done now.
    """

    digest: str
    name: str
    inputs: Sequence[str] = ()
    started: int = 0
    completed: int = 0
    cached: bool = False
    working: bool = False
    error: str = ""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is counted within a vertex, such as the bytes of a transfer; `total` 0 is unknown."""

    vertex: str
    id: str
    name: str = ""
    current: int = 0
    total: int = 0
    timestamp: int = 0
    started: int = 0
    completed: int = 0


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """Output of a vertex."""

    vertex: str
    data: bytes
    stream: int = STDOUT
    timestamp: int = 0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of `docker build --check` that the Dockerfile breaks; `lines` are (first, last), from 1."""

    vertex: str
    level: int
    short: str
    detail: Sequence[str]
    url: str
    lines: Sequence[tuple[int, int]]


Event: TypeAlias = VertexState | Status | Log | Finding


class Watch(Protocol):
    """Where a build reports to; awaiting it is the backpressure of a client that reads slowly."""

    async def __call__(self, event: Event, /) -> None:
        """Report one event."""


async def unwatched(event: Event, /) -> None:
    """A Watch that nobody looks at."""
