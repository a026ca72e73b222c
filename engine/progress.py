"""Progress of long work (pull, load, build, push), in the messages that Docker's clients show."""

from typing import Any, Protocol

import msgspec


class ProgressDetail(msgspec.Struct, rename="lower", omit_defaults=True, frozen=True, kw_only=True):
    """How far a step is. `current` and `total` are bytes unless `units` says otherwise; 0 is unknown."""

    current: int = 0
    total: int = 0
    start: int = 0  # Unix seconds, for the time that is left
    hide_counts: bool = msgspec.field(default=False, name="hidecounts")
    units: str = ""


class ErrorDetail(msgspec.Struct, rename="lower", omit_defaults=True, frozen=True, kw_only=True):
    """A failure after the first byte was sent: it travels inside the stream."""

    code: int = 0
    message: str = ""


class Message(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True, kw_only=True):
    """One line of a JSON stream. Only what is set is sent.

    `id` names the line that a terminal redraws (a layer's short digest), `status` is what it says,
    `stream` is text passed through as it is, `aux` a machine's result (`{"ID": "sha256:…"}`).
    """

    stream: str = ""
    status: str = ""
    progress_detail: ProgressDetail | None = None
    progress: str = ""
    id: str = ""
    error: str = ""
    error_detail: ErrorDetail | None = None
    aux: Any = None

    @classmethod
    def failure(cls, text: str, code: int = 0) -> "Message":
        """The last message of a stream that failed; both fields that clients look at are set."""
        return cls(error=text, error_detail=ErrorDetail(code=code, message=text))


class Progress(Protocol):
    """Where long work reports to; awaiting it is the backpressure of a client that reads slowly."""

    async def __call__(self, message: Message, /) -> None:
        """Report one message."""


async def ignore(message: Message, /) -> None:
    """A Progress that nobody watches."""
