"""Watches nftables and has the rules put back when another program changed them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

import errdefs
from network.nftables.watch import Change, Watch
from network.worker import Worker

_log = logging.getLogger(__name__)

_GATHER_SECONDS: Final = 0.05  # a firewall's reload is many transactions
_RETRY_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 2.0


class Repair:
    """Hands changes that may concern us to `judge`, in the worker's thread; true: there was something to put back.

    iptables-legacy tells nobody of changes: `look` is called every other second.
    """

    def __init__(
        self,
        worker: Worker,
        table: str,
        judge: Callable[[list[Change]], bool],
        look: Callable[[], None],
    ) -> None:
        self._worker = worker
        self._table = table
        self._judge = judge
        self._look = look
        self._concerning = {("inet", table), ("inet", "firewalld"), ("ip", "filter"), ("ip6", "filter")}
        self._watch: Watch | None = None
        self._changes: list[Change] = []
        self._task: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Hear of changes from now on. Blocks."""
        self._watch = Watch()

    def start(self) -> None:
        """Answer them, on the running loop."""
        if self._watch is not None:
            self._watch.start(self._changed)
            self._looking = asyncio.get_running_loop().create_task(self._look_around())

    def stop(self) -> None:
        """No more answers; on the loop. Idempotent."""
        if self._watch is not None:
            self._watch.stop()
        for task in (self._task, self._looking):
            if task is not None:
                task.cancel()

    def close(self) -> None:
        """Close the socket: slow, never on the loop."""
        if self._watch is not None:
            self._watch.close()

    def _changed(self, change: Change) -> None:
        if change.generation is not None and not change.tables & self._concerning:
            return
        self._changes.append(change)
        if self._task is None:
            self._begin()

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._answer())
        self._task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and self._changes:  # they came while it ended
            self._begin()

    async def _answer(self) -> None:
        """The first change is answered at once; what follows within a moment, together."""
        while self._changes:
            changes, self._changes = self._changes, []
            try:
                if await self._worker.run(partial(self._judge, changes)):
                    _log.warning(
                        "nftables: the table %s was changed by another program: restored", self._table
                    )
            except (OSError, errdefs.WherryError):
                _log.exception("nftables: cannot restore the rules, next try in a second")
                self._changes.append(Change(None, frozenset()))
                await asyncio.sleep(_RETRY_SECONDS)
            await asyncio.sleep(_GATHER_SECONDS)

    async def _look_around(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self._worker.run(self._look)
            except (OSError, errdefs.WherryError):
                _log.exception("iptables-legacy: cannot restore the rule")
