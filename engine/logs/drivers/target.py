"""What every driver that sends logs has: what it is told of a container, messages, and a way to where they go."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Whose log it is. `extra` are the labels and variables that LogConfig asks for; `created` is Unix nanoseconds."""

    id: str
    name: str
    image_id: str
    image_name: str
    command: str
    created: int
    tag: str
    extra: dict[str, str]
    host: str


class Partial(msgspec.Struct, frozen=True):
    """A piece of a line longer than a record: of which line, and the how-manieth from 1 on."""

    id: str
    ordinal: int
    last: bool


class Message(NamedTuple):
    """A record without its newline. `time` is Unix nanoseconds, `ordinal` counts the container's records from 1."""

    line: str
    stream: str
    time: int
    ordinal: int
    partial: Partial | None


class Batch(NamedTuple):
    """Messages as they are sent, and the acknowledgements that must come back."""

    pieces: list[bytes]
    acks: list[bytes]


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds until a failed delivery is tried again, at first and at most, and how often (None: for ever)."""

    first: float = 0.2
    most: float = 5.0
    times: int | None = None


class Link(Protocol):
    """A way that is open."""

    async def send(self, batch: Batch) -> None:
        """Send all; returns when the other side has it, as far as can be known.

        OSError: it is not known what of it has arrived.
        """

    def close(self) -> None:
        """Let it go; idempotent."""


class Target(Protocol):
    """Where the log of one container goes."""

    retry: Retry

    def encode(self, messages: list[Message]) -> Batch:
        """The messages as this driver sends them. Pure; may take long."""

    async def connect(self) -> Link:
        """Open the way. OSError if it cannot be."""


class Driver(msgspec.Struct, frozen=True):
    """A driver by its options.

    `check` raises InvalidArgument, in Docker's words, for options that cannot be obeyed; `make` gives the target of a
    container's log for those that it passed. `require` raises, when a container is to start, for what this host lacks:
    whether the other side can be reached does not matter.
    """

    options: frozenset[str]
    check: Callable[[dict[str, str]], None]
    make: Callable[[dict[str, str], Subject], Target]
    require: Callable[[dict[str, str]], None] = lambda _: None
