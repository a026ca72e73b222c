"""Pairs of virtual interfaces: one end in a sandbox, the other a port of a bridge. Blocks: for the worker's thread.

The host's ends are named `veth<instance><random>` (15 characters), so that all of an instance are known by name.
"""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
from collections.abc import Collection
from typing import Final

import errdefs
from network import changes, netlink, settled
from network.netlink import NetlinkError, Rtnetlink

_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_NAME_TRIES: Final = 100


class Veths:
    """The pairs of one instance, whatever their bridges, by the endpoint that each belongs to."""

    def __init__(self, rtnl: Rtnetlink, instance: str) -> None:
        self._rtnl = rtnl
        self._prefix = f"veth{instance}"
        self._names: dict[str, str] = {}  # endpoint id -> name of the host's end
        self._retired: set[str] = set()

    def plug(self, endpoint_id: str, bridge: int, fd: int, interface: str, mac: str, mtu: int) -> None:
        """Make a pair: its inner end `interface` in namespace `fd`, down; the outer one on the bridge, with hairpin.

        Raises NetlinkError; nothing is left then. `mtu` 0 leaves the kernel's default.
        """
        self._names[endpoint_id] = self._make(bridge, fd, interface, mac, mtu)

    def settle(self, endpoint_id: str, bridge: int) -> None:
        """Return when the pair, whose inner end is up, and its bridge carry frames. Raises NetlinkError."""
        settled.carries(self._rtnl, name=self._names[endpoint_id])
        settled.carries(self._rtnl, index=bridge)

    def adopt(self, endpoint_id: str, index: int) -> None:
        """The pair whose outer end has that index in the host. Raises OSError; a stray it is not, even then."""
        self._names[endpoint_id] = ""
        self._names[endpoint_id] = socket.if_indextoname(index)

    def retire(self, endpoint_id: str) -> None:
        """Silence the port of the bridge: the interface goes with its namespace, by the kernel.

        Removing it here would take 15-30 ms under the rtnl lock. One that stays (another container shares the
        namespace) is removed by `sweep`. Idempotent.
        """
        name = self._names.pop(endpoint_id, "")
        if name:
            with contextlib.suppress(OSError):  # it has gone already
                port = changes.silenced(socket.if_nametoindex(name))
                self._rtnl.batch([(netlink.RTM_SETLINK, 0, port)])
            self._retired.add(name)

    def unplug(self, endpoint_id: str) -> None:
        """Remove the pair now. Idempotent."""
        name = self._names.pop(endpoint_id, "")
        if name:
            self._delete([name])

    def sweep(self) -> None:
        """Remove retired ones that the kernel has not removed yet."""
        self._delete(self._retired & {name for _, name in socket.if_nameindex()})
        self._retired.clear()

    def remove_strays(self) -> list[str]:
        """Remove and name those that belong to no endpoint known."""
        known = set(self._names.values())
        present = [name for _, name in socket.if_nameindex()]
        strays = [name for name in present if name.startswith(self._prefix) and name not in known]
        self._delete(strays)
        return strays

    def remove_all(self) -> None:
        """Remove all of this instance."""
        self._names.clear()
        self.remove_strays()

    def _make(self, bridge: int, fd: int, interface: str, mac: str, mtu: int) -> str:
        """Both ends in one message, the inner one in its namespace from the start; its name is not to be up yet."""
        for _ in range(_NAME_TRIES):
            name = self._prefix + "".join(secrets.choice(_ALPHABET) for _ in range(15 - len(self._prefix)))
            pair = changes.veth(name, bridge, fd, interface, mac, mtu)
            try:
                self._rtnl.batch(
                    [
                        (netlink.RTM_NEWLINK, netlink.CREATE, pair),
                        (netlink.RTM_NEWLINK, 0, changes.hairpin(name)),
                    ]
                )
            except NetlinkError as error:
                if error.index:
                    self._delete([name])
                    raise
                if error.errno != errno.EEXIST or name not in {each for _, each in socket.if_nameindex()}:
                    raise
            else:
                return name
        raise errdefs.SystemFailure("no free name for a veth interface")

    def _delete(self, names: Collection[str]) -> None:
        if not names:
            return
        with contextlib.suppress(NetlinkError):  # the kernel was faster
            self._rtnl.batch([(netlink.RTM_DELLINK, 0, changes.link(changes.named(name))) for name in names])
