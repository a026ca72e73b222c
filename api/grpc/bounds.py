"""How much of what costs us and tells us nothing a peer may send: the bound against floods of control frames."""

from collections.abc import Callable
from typing import Final

BURST: Final = 1000.0
RATE: Final = 100.0  # a second
EARNED: Final = 2.0  # for each frame of data that we send: its receiver measures with PINGs and opens windows
SETTINGS_COST: Final = 20.0


class Flood(Exception):  # noqa: N818 - a fact about the peer
    """A peer sends more control frames than any client has reason to."""


class Allowance:
    """What a peer has left. `now` tells seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._left = BURST
        self._since = now()

    def earn(self) -> None:
        """A frame of data was sent to the peer."""
        self._left = min(self._left + EARNED, BURST)

    def spend(self, cost: float) -> None:
        """The peer sent something. Raises Flood when it has nothing left."""
        now = self._now()
        self._left = min(self._left + (now - self._since) * RATE, BURST) - cost
        self._since = now
        if self._left < 0:
            raise Flood
