"""What a peer may send of what costs us and tells us nothing: bounds of control frames. Pure."""

from collections.abc import Callable
from typing import Final

BURST: Final = 4000.0
RATE: Final = 100.0  # a second
EARNED: Final = (
    1 / 1024
)  # for each byte that we send: its receiver opens windows, two for 8 KiB, and measures
SETTINGS_COST: Final = 20.0


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
