"""Transfers and layers that several want at the same time; each is told how far it is."""

from collections.abc import Callable
from typing import TypeVar

from engine import sharing
from engine.progress import Message

T = TypeVar("T")
Report = Callable[[Message], None]
"""Takes a line of progress; never waits."""


class Sharing(sharing.Sharing[T, Report]):
    """Those that are going on. Who comes late is told the latest line."""

    def __init__(self) -> None:
        super().__init__(_Lines)


class _Lines:
    def __init__(self) -> None:
        self._reports: list[Report] = []
        self._latest: Message | None = None

    def tell(self, message: Message) -> None:
        self._latest = message
        for report in self._reports:
            report(message)

    async def enter(self, report: Report) -> None:
        self._reports.append(report)
        if self._latest is not None:
            report(self._latest)

    def leave(self, report: Report) -> None:
        self._reports.remove(report)
