"""What a peer may send of what costs us and tells us nothing: bounds of control frames, and of the size of any frame.

Pure.
"""

from collections.abc import Callable
from typing import Final

BURST: Final = 4000.0
RATE: Final = 100.0  # a second
EARNED: Final = (
    1 / 1024
)  # for each byte that we send: its receiver opens windows, two for 8 KiB, and measures
SETTINGS_COST: Final = 20.0


MAX_FRAME: Final = 16_384  # bytes: what HTTP/2 has without being asked for more
_HEADER: Final = 9


class Flood(Exception):  # noqa: N818 - a fact about the peer
    """A peer sends more control frames than any client has reason to."""


class Allowance:
    """What a peer has left. `now` tells seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._left = BURST
        self._since = now()

    def earn(self, sent: int) -> None:
        """So many bytes of data were sent to the peer."""
        self._left = min(self._left + sent * EARNED, BURST)

    def spend(self, cost: float) -> None:
        """The peer sent something. Raises Flood when it has nothing left."""
        now = self._now()
        self._left = min(self._left + (now - self._since) * RATE, BURST) - cost
        self._since = now
        if self._left < 0:
            raise Flood


class Frames:
    """Follows the frames of a connection, behind so many bytes of a preface.

    h2 looks at the size of a frame when all of it is there, and there may be 16 MiB of it.
    """

    def __init__(self, preface: int = 0) -> None:
        self._rest = preface  # bytes until the next frame begins
        self._header = b""

    def feed(self, data: bytes) -> bool:
        """Whether no frame that has begun is larger than one may be."""
        at = 0
        while at + self._rest < len(data):
            at += self._rest
            self._rest = 0
            part = data[at : at + _HEADER - len(self._header)]
            at += len(part)
            self._header += part
            if len(self._header) < _HEADER:
                return True
            self._rest = int.from_bytes(self._header[:3])
            self._header = b""
            if self._rest > MAX_FRAME:
                return False
        self._rest -= len(data) - at
        return True
