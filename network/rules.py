"""The rules of this instance: changed with each bridge, port and link, put back when somebody removes them.

Until `settle()` it is not known which of the elements found in the table belong to running containers, so all stay.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Sequence
from typing import Any

from network import bridge_filter
from network.firewalld import Firewalld
from network.forwarding import Forwarding
from network.nftables import bridge as bridges
from network.nftables.bridge import Bridge
from network.nftables.element import NUMBERS, Element, address
from network.nftables.entry import Entry, Published
from network.nftables.ruleset import Ruleset
from network.nftables.table import Table
from network.nftables.transaction import NftError
from network.nftables.watch import Change
from network.repair import Repair
from network.worker import Worker


class Rules:
    """What changes the rules blocks: it is for the worker's thread. Each change is one transaction."""

    def __init__(self, worker: Worker, ruleset: Ruleset, forwarding: Forwarding) -> None:
        self._worker = worker
        self._ruleset = ruleset
        self._forwarding = forwarding
        self._firewalld = Firewalld()
        self._repair = Repair(worker, ruleset.table, self._judge, self._look)

    async def open(self) -> None:
        """Put the rules there, keeping elements of an earlier daemon, and watch them."""
        await self._worker.run(self._open)
        self._repair.start()

    async def settle(self) -> None:
        """All containers are known: the table holds what is theirs and nothing else, changed in one transaction."""
        await self._worker.run(self._settle)

    async def close(self) -> None:
        """Stop watching; the rules stay."""
        self._repair.stop()
        await self._worker.run(self._close)

    async def dismantle(self) -> None:
        """Remove the table and the rule that lets marked packets through; nothing is put back any more."""
        self._repair.stop()
        await self._worker.run(self._dismantle)

    def add_bridge(self, bridge: Bridge) -> None:
        """Containers of this bridge meet the rules from now on; to be called before it has any.

        What a bridge of this name was before is replaced. Raises SystemFailure; nothing is changed then.
        """
        before = self._ruleset.bridges.get(bridge.name)
        self._ruleset.bridges[bridge.name] = bridge
        try:
            if not bridge.icc:
                bridge_filter.enable(self._worker.rtnl, bridge.name)
            if before in (None, bridge):
                self._add(list(bridges.elements(bridge)))
            else:
                self._assert()
            self._forward(bridge)
            self._table.shield([bridge])
            self._firewalld.admit(bridge.name)
        except BaseException:
            self._ruleset.bridges.pop(bridge.name)
            if before is not None:
                self._ruleset.bridges[bridge.name] = before
            self._assert()
            raise

    def expect_bridge(self, bridge: Bridge) -> None:
        """At boot, of a bridge that is there: its rules of before stay, and `settle` makes them what they are to be."""
        self._ruleset.bridges[bridge.name] = bridge
        self._forward(bridge)
        self._firewalld.expect(bridge.name)

    def remove_bridge(self, name: str) -> None:
        """Forget a bridge, also one of an earlier daemon; idempotent."""
        bridge = self._ruleset.bridges.pop(name, None)
        self._firewalld.forget(name)
        if bridge is not None:
            self._table.unshield(bridge)
            self._remove(bridges.elements(bridge))

    def bridge_of(self, network_id: str) -> Bridge | None:
        """The bridge of a network, None for a network without one."""
        found = (each for each in self._ruleset.bridges.values() if each.network_id == network_id)
        return next(found, None)

    def is_internal(self, client: tuple[Any, ...]) -> bool:
        """Whether who speaks from that socket address is in an internal network. Does not block.

        By the address of its gateway it reaches the host, and would reach others' ports by the host's proxies.
        """
        speaker = address(client[0].partition("%")[0])
        if speaker.version == 6 and speaker.is_link_local:
            with contextlib.suppress(OSError):  # the interface has just gone
                bridge = self._ruleset.bridges.get(socket.if_indextoname(client[3]))
                return bridge is not None and bridge.internal
        bridges = list(self._ruleset.bridges.values())  # the worker's thread may change them meanwhile
        return any(speaker in subnet for each in bridges if each.internal for subnet in each.subnets)

    def add(self, entries: Iterable[Entry]) -> None:
        """Publish, open or link ports. Raises SystemFailure; none is then."""
        new = set(entries)
        self._ruleset.entries |= new
        try:
            self._add([each.element() for each in new])
        except BaseException:
            self._ruleset.entries -= new
            raise

    def expect(self, entries: Iterable[Entry]) -> None:
        """These are to be there, and will be with `settle()`."""
        self._ruleset.entries |= set(entries)

    def remove(self, entries: Iterable[Entry]) -> None:
        """Take ports and links away; idempotent."""
        gone = self._ruleset.entries & set(entries)
        self._ruleset.entries -= gone
        self._remove(each.element() for each in gone)

    def _forward(self, bridge: Bridge) -> None:
        if any(subnet.version == 6 for subnet in bridge.subnets):
            self._forwarding.enable("ipv6")

    def _add(self, added: Sequence[Element]) -> None:
        try:
            self._table.add(added)
        except NftError:  # the table has just been removed, or was changed: say what the whole is
            self._assert()

    def _remove(self, removed: Iterable[Element]) -> None:
        try:
            self._table.remove(removed)
        except NftError:  # an element was not there: say what the whole is
            self._assert()

    def _open(self) -> None:
        self._table = Table(self._ruleset, self._worker.nft, self._worker.elements)
        try:
            self._repair.open()
            self._assert()
            self._table.raise_shield()
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        self._firewalld.close()
        self._repair.close()
        self._table.close()

    def _settle(self) -> None:
        self._table.settled = True
        if not self._table.holds_all():
            self._assert()
        self._table.shield(self._ruleset.bridges.values())
        self._firewalld.renew()

    def _dismantle(self) -> None:
        self._table.delete()
        self._firewalld.settle()
        self._forwarding.dismantle()

    def _assert(self) -> None:
        """The whole ruleset, as it is to be."""
        self._table.replace()
        self._forwarding.ensure()

    def _judge(self, changes: list[Change]) -> bool:
        """Put back what others changed; in the worker's thread, where our own transactions are known by now."""
        foreign = [each for each in changes if not self._table.is_ours(each)]
        ours = ("inet", self._ruleset.table)
        broken = any(each.generation is None or ours in each.tables for each in foreign)
        if broken:
            self._assert()
            self._forget_udp()
        elif foreign:
            self._forwarding.ensure()
        if foreign:
            self._firewalld.renew()
        return broken

    def _look(self) -> None:
        """Put back what is gone without a notification."""
        if self._forwarding.is_broken():
            self._forwarding.ensure()

    def _forget_udp(self) -> None:
        """Flows that began without rules would never meet them."""
        published = [each for each in self._ruleset.entries if isinstance(each, Published)]
        udp = {each.host_port for each in published if each.proto == "udp"}
        self._worker.conntrack.forget_ports(NUMBERS["udp"], udp)
