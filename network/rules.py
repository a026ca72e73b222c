"""The ruleset of this instance in the kernel: changed with each published port, put back when somebody removes it.

Until `settle()` it is not known which of the elements found in the table belong to running containers, so all stay.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import errdefs
from network import ports
from network.forwarding import Forwarding
from network.nftables import elements
from network.nftables import ruleset as text
from network.nftables.ruleset import Published, Ruleset
from network.nftables.transaction import Message, NftError
from network.nftables.watch import Change, Generation, Watch
from network.worker import Worker

_log = logging.getLogger(__name__)

_GATHER_SECONDS: Final = 0.05  # a firewall's reload is many transactions
_RETRY_SECONDS: Final = 1.0
_REMEMBERED: Final = 4096


class Rules:
    """Owner of the table and of the watch on it. `add` and `remove` block: for the worker's thread."""

    def __init__(self, worker: Worker, ruleset: Ruleset, forwarding: Forwarding) -> None:
        self._worker = worker
        self._ruleset = ruleset
        self._forwarding = forwarding
        self._settled = False
        self._ours: deque[int] = deque(maxlen=_REMEMBERED)
        self._changes: list[Change] = []
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Put the rules there, keeping elements of an earlier daemon, and watch them."""
        await self._worker.run(self._open)
        self._watch.start(self._changed)

    async def settle(self) -> None:
        """All containers are known: the table holds their ports and nothing else, changed in one transaction."""
        await self._worker.run(self._settle)

    async def close(self) -> None:
        """Stop watching; the rules stay."""
        self._stop()
        await self._worker.run(self._close)

    async def dismantle(self) -> None:
        """Remove the table and the rule that lets marked packets through; nothing is put back any more."""
        self._stop()
        await self._worker.run(self._dismantle)

    def add(self, published: Iterable[Published]) -> None:
        """Lead ports to a container. Raises SystemFailure; the container's ports are not published then."""
        new = set(published)
        self._ruleset.published |= new
        try:
            self._change(elements.add(self._ruleset.table, new))
        except NftError:  # the table has just been removed, or was changed: say what the whole is
            self._restore(new)

    def _restore(self, new: set[Published]) -> None:
        try:
            self._assert()
        except BaseException:
            self._ruleset.published -= new
            raise

    def expect(self, published: Iterable[Published]) -> None:
        """These ports are to be there, and will be with `settle()`."""
        self._ruleset.published |= set(published)

    def remove(self, published: Iterable[Published]) -> None:
        """Take ports away; idempotent."""
        gone = self._ruleset.published & set(published)
        self._ruleset.published -= gone
        try:
            self._change(elements.remove(self._ruleset.table, gone))
        except NftError:  # an element was not there: say what the whole is
            self._assert()

    def _open(self) -> None:
        self._generation = Generation()
        self._watch = Watch()
        try:
            self._assert()
        except BaseException:
            self._close()
            raise

    def _stop(self) -> None:
        self._watch.stop()
        if self._task is not None:
            self._task.cancel()

    def _dismantle(self) -> None:
        self._run(text.delete(self._ruleset.table))
        self._forwarding.dismantle()

    def _close(self) -> None:
        self._watch.close()
        self._generation.close()

    def _settle(self) -> None:
        self._settled = True
        self._assert()

    def _change(self, messages: list[Message]) -> None:
        if messages:
            self._transact(partial(self._worker.elements.commit, messages))

    def _run(self, commands: str) -> None:
        self._transact(partial(self._worker.nft.run, commands))

    def _transact(self, transaction: Callable[[], object]) -> None:
        """One transaction, remembered as ours by its generation (unless another came in between)."""
        before = self._generation.current()
        transaction()
        after = self._generation.current()
        if after == (before + 1) & 0xFFFFFFFF:
            self._ours.append(after)

    def _assert(self) -> None:
        """The whole ruleset, as it is to be."""
        try:
            self._run(text.replace(self._ruleset, keep_ports=not self._settled))
        except NftError as error:
            if self._settled or not self._exists():
                self._recreate()
            else:
                _log.warning(
                    "nftables: rules of an older version stay until containers are known: %s", error.strerror
                )
        self._forwarding.ensure()

    def _recreate(self) -> None:
        try:
            self._run(text.recreate(self._ruleset))
        except NftError as error:
            raise errdefs.SystemFailure(f"nftables: cannot apply the rules: {error.strerror}") from error

    def _exists(self) -> bool:
        tables = [each["table"] for each in self._worker.nft.query("list tables inet") if "table" in each]
        return any(each["name"] == self._ruleset.table for each in tables)

    def _changed(self, change: Change) -> None:
        ours = ("inet", self._ruleset.table)
        if change.generation is not None and not change.tables & {ours, ("ip", "filter")}:
            return
        self._changes.append(change)
        if self._task is None:
            self._start_repair()

    def _start_repair(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._repair())
        self._task.add_done_callback(self._repaired)

    def _repaired(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and self._changes:  # they came while it ended
            self._start_repair()

    async def _repair(self) -> None:
        """The first change is answered at once; what follows within a moment, together."""
        while self._changes:
            changes, self._changes = self._changes, []
            try:
                await self._worker.run(partial(self._judge, changes))
            except (OSError, errdefs.WherryError):
                _log.exception("nftables: cannot restore the rules, next try in a second")
                self._changes.append(Change(None, frozenset()))
                await asyncio.sleep(_RETRY_SECONDS)
            await asyncio.sleep(_GATHER_SECONDS)

    def _judge(self, changes: list[Change]) -> None:
        """In the worker's thread, where our own transactions are known by now."""
        foreign = [each for each in changes if each.generation not in self._ours]
        if not foreign:
            return
        ours = ("inet", self._ruleset.table)
        if any(each.generation is None or ours in each.tables for each in foreign):
            _log.warning(
                "nftables: the table %s was changed by another program: restored", self._ruleset.table
            )
            self._assert()
            self._forget_udp()
        else:
            self._forwarding.ensure()

    def _forget_udp(self) -> None:
        """Flows that began without rules would never meet them."""
        for each in self._ruleset.published:
            if each.proto == "udp":
                self._worker.conntrack.forget_port(ports.NUMBERS[each.proto], each.host_port)
