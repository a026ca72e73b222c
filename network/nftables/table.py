"""The table of one instance in the kernel: single elements by netlink, the whole by libnftables. For one thread."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import errdefs
from network.nftables import elements, held, shield
from network.nftables import ruleset as text
from network.nftables.apply import Nft
from network.nftables.bridge import Bridge
from network.nftables.element import Element
from network.nftables.rules_text import MAPS, SETS
from network.nftables.ruleset import Ruleset
from network.nftables.transaction import Message, NftError, Transactions
from network.nftables.watch import Change, Generation

_log = logging.getLogger(__name__)

_REMEMBERED: Final = 4096


class Table:
    """Remembers which transactions were its own. Until `settled` it adds and replaces, but removes nothing it finds."""

    def __init__(self, ruleset: Ruleset, nft: Nft, transactions: Transactions) -> None:
        self.ruleset = ruleset
        self.settled = False
        self._current = False  # whether the rules are of this version
        self._nft = nft
        self._transactions = transactions
        self._generation = Generation()
        # The generations that our transactions may have, and who spoke.
        self._ours: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)
        self._shield = ""

    def close(self) -> None:
        """Close what is held; the table stays."""
        self._generation.close()

    def add(self, added: Iterable[Element]) -> None:
        """In one transaction. Raises NftError; nothing is changed then."""
        self._commit(elements.add(self.ruleset.table, added))

    def remove(self, removed: Iterable[Element]) -> None:
        """In one transaction. Raises NftError, also when one is not there; nothing is changed then."""
        self._commit(elements.remove(self.ruleset.table, removed))

    def replace(self) -> None:
        """Make the table the whole ruleset, in one transaction. Raises SystemFailure."""
        try:
            self._run(text.replace(self.ruleset, keep=not self.settled))
            self._current = True
        except NftError as error:
            if self.settled or not self._exists():
                self._recreate()
            else:
                _log.warning(
                    "nftables: rules of an older version stay until containers are known: %s", error.strerror
                )

    def holds_all(self) -> bool:
        """Whether the table is the whole ruleset already, and nothing else."""
        sets = (*SETS, *MAPS)
        try:
            return self._current and held.of(self.ruleset.elements(), sets) == held.read(
                self._transactions, self.ruleset.table, sets
            )
        except NftError:
            return False

    def raise_shield(self) -> None:
        """Have bridges that are shielded cut off when the rules are away; a kernel that cannot is put up with."""
        name = shield.table_name(self.ruleset.table)
        try:
            self._commit(shield.make(name, self.ruleset.mark))
        except NftError as error:
            _log.warning(
                "nftables: networks are open for a moment when rules are flushed: %s", error.strerror
            )
        else:
            self._shield = name

    def shield(self, bridges: Iterable[Bridge]) -> None:
        """Put bridges that the rules know behind the shield. Raises SystemFailure. Idempotent."""
        if not self._shield:
            return
        added = [one for each in bridges for one in shield.bridge(each.name, internal=each.internal)]
        try:
            self._commit(elements.add(self._shield, added))
        except NftError as error:
            raise errdefs.SystemFailure(f"nftables: cannot shield bridges: {error.strerror}") from error

    def unshield(self, bridge: Bridge) -> None:
        """Take it away from there."""
        if self._shield:
            with contextlib.suppress(NftError):  # it was not there
                self._commit(
                    elements.remove(self._shield, shield.bridge(bridge.name, internal=bridge.internal))
                )

    def delete(self) -> None:
        """Remove the table and the shield; idempotent."""
        if self._shield:
            self._commit(shield.delete(self._shield))
            self._shield = ""
        self._run(text.delete(self.ruleset.table))

    def is_ours(self, change: Change) -> bool:
        """Whether this was one of our own transactions."""
        return (change.generation, change.speaker) in self._ours

    def _recreate(self) -> None:
        try:
            self._run(text.recreate(self.ruleset))
            self._current = True
        except NftError as error:
            raise errdefs.SystemFailure(f"nftables: cannot apply the rules: {error.strerror}") from error

    def _exists(self) -> bool:
        tables = [each["table"] for each in self._nft.query("list tables inet") if "table" in each]
        return any(each["name"] == self.ruleset.table for each in tables)

    def _commit(self, messages: list[Message]) -> None:
        if messages:
            self._transact(self._transactions, partial(self._transactions.commit, messages))

    def _run(self, commands: str) -> None:
        self._transact(self._nft, partial(self._nft.run, commands))

    def _transact(self, by: Transactions | Nft, transaction: Callable[[], object]) -> None:
        """One transaction, remembered as ours: it has one of the generations that came meanwhile, and our speaker.

        Speakers alone would not do: when libnftables has closed its socket, another program's may get the address.
        """
        before = self._generation.current()
        transaction()
        came = (self._generation.current() - before) & 0xFFFFFFFF
        self._ours.extend(((before + each) & 0xFFFFFFFF, by.speaker) for each in range(1, came + 1))
