"""From records to the messages that drivers send: pieces of long lines know each other. Pure."""

import secrets

from engine.logs.drivers.target import Message, Partial
from engine.logs.record import decode, nanoseconds


class Messages:
    """The messages of one log, in order. `ordinal` is the number of records that came before."""

    def __init__(self, ordinal: int) -> None:
        self._ordinal = ordinal
        self._open: dict[str, Partial] = {}

    def of(self, lines: bytes) -> list[Message]:
        """The messages in whole lines of the log."""
        return [self._message(each.log, each.stream, each.time) for each in decode(lines)]

    def pass_over(self, count: int) -> None:
        """Records that are not sent count as well."""
        self._ordinal += count
        self._open.clear()

    def _message(self, log: str, stream: str, time: str) -> Message:
        """As in Docker a line's last piece is the one with its newline, and what has none is a piece."""
        self._ordinal += 1
        ended = log.endswith("\n")
        partial = self._open.pop(stream, None)
        if not ended or partial is not None:
            name, ordinal = (partial.id, partial.ordinal + 1) if partial else (secrets.token_hex(32), 1)
            partial = Partial(name, ordinal, last=ended)
            if not ended:
                self._open[stream] = partial
        return Message(log[:-1] if ended else log, stream, nanoseconds(time), self._ordinal, partial)
