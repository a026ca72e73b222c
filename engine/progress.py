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
    def step(cls, line: str, status: str) -> "Message":
        """A step of which there is nothing to count."""
        return cls(id=line, status=status, progress_detail=ProgressDetail())

    @classmethod
    def counted(cls, line: str, status: str, current: int, total: int) -> "Message":
        """How many bytes of a step are done."""
        detail = ProgressDetail(current=current, total=total)
        return cls(id=line, status=status, progress_detail=detail, progress=bar(current, total))

    @classmethod
    def failure(cls, text: str, code: int = 0) -> "Message":
        """The last message of a stream that failed; both fields that clients look at are set."""
        return cls(error=text, error_detail=ErrorDetail(code=code, message=text))


def bar(current: int, total: int) -> str:
    """How far a step is, as Docker draws it for clients that cannot."""
    if total <= 0:
        return f"{human_size(current):>8}" if current > 0 else ""
    done = min(50, int(current / total * 100) // 2)
    counts = f"{human_size(current):>8}"
    if current <= total:
        counts += f"/{human_size(total)}"
    return f"[{'=' * done}>{' ' * (50 - done)}] {counts}"


def human_size(size: float) -> str:
    """Bytes in decimal units, with four digits that count."""
    units = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
    unit = 0
    while size >= 1000 and unit < len(units) - 1:
        size /= 1000
        unit += 1
    return f"{size:.4g}{units[unit]}"


class Progress(Protocol):
    """Where long work reports to; awaiting it is the backpressure of a client that reads slowly."""

    async def __call__(self, message: Message, /) -> None:
        """Report one message."""


class Stream(Progress, Protocol):
    """A `Progress` that takes several messages at once."""

    async def __call__(self, *messages: Message) -> None:
        """Report them, in one piece."""


async def ignore(message: Message, /) -> None:
    """A Progress that nobody watches."""
