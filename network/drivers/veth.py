"""Pairs of virtual interfaces: one end in a sandbox, the other a port of a bridge. Blocks: for the worker's thread.

The host's ends are named `veth<instance><random>` (15 characters), so that all of an instance are known by name.
"""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
from collections.abc import Collection, Sequence
from typing import Final

import errdefs
from network import netlink
from network.netlink import NetlinkError, Rtnetlink

_IFF_UP: Final = 1
_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_NAME_TRIES: Final = 100
# A port that neither hears nor is heard. "Disabled" (0) alone is not enough: a late carrier event enables it again.
_SILENCED: Final = [
    ("IFLA_BRPORT_STATE", 0),
    ("IFLA_BRPORT_LEARNING", 0),
    ("IFLA_BRPORT_UNICAST_FLOOD", 0),
    ("IFLA_BRPORT_MCAST_FLOOD", 0),
    ("IFLA_BRPORT_BCAST_FLOOD", 0),
    ("IFLA_BRPORT_LOCKED", 1),
    ("IFLA_BRPORT_FLUSH", None),
]
_HAIRPIN: Final = {
    "attrs": [
        ("IFLA_INFO_SLAVE_KIND", "bridge"),
        ("IFLA_INFO_SLAVE_DATA", {"attrs": [("IFLA_BRPORT_MODE", 1)]}),
    ]
}


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
                self._set_port(name, _SILENCED)
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
        more = [("IFLA_MTU", mtu)] if mtu else []
        inner = [("IFLA_IFNAME", interface), ("IFLA_ADDRESS", mac), ("IFLA_NET_NS_FD", fd), *more]
        data = {"attrs": [("VETH_INFO_PEER", netlink.link(attrs=inner))]}
        info = {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data)]}
        for _ in range(_NAME_TRIES):
            name = self._prefix + "".join(secrets.choice(_ALPHABET) for _ in range(15 - len(self._prefix)))
            attrs = [("IFLA_IFNAME", name), ("IFLA_MASTER", bridge), ("IFLA_LINKINFO", info), *more]
            made = netlink.link(flags=_IFF_UP, change=_IFF_UP, attrs=attrs)
            port = netlink.link(attrs=[("IFLA_IFNAME", name), ("IFLA_LINKINFO", _HAIRPIN)])
            try:
                self._rtnl.batch(
                    [(netlink.RTM_NEWLINK, netlink.CREATE, made), (netlink.RTM_NEWLINK, 0, port)]
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

    def _set_port(self, name: str, attrs: Sequence[tuple[str, int | None]]) -> None:
        """By the bridge family: as slave data of the link, the kernel would enable a disabled port again at once."""
        info = ("IFLA_PROTINFO", {"attrs": attrs}, netlink.NLA_F_NESTED)
        message = netlink.link(socket.if_nametoindex(name), family=socket.AF_BRIDGE, attrs=[info])
        self._rtnl.batch([(netlink.RTM_SETLINK, 0, message)])

    def _delete(self, names: Collection[str]) -> None:
        if not names:
            return
        with contextlib.suppress(NetlinkError):  # the kernel was faster
            self._rtnl.batch(
                [(netlink.RTM_DELLINK, 0, netlink.link(attrs=[("IFLA_IFNAME", name)])) for name in names]
            )
