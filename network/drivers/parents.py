"""Interfaces of the host under which others are made. Blocks: for the worker's thread.

One that a network names and that is not there is made: `eth0.10` is VLAN 10 of eth0, and a network that names none gets
a dummy, which leads nowhere. What is made carries the instance's mark as its alias, so it is known after a restart, and
it goes with the last network that uses it.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import Any, Final

import errdefs
from network import changes, links, messages, netlink
from network.drivers.driver import NetworkInfo
from network.netlink import NetlinkError, Rtnetlink

_IFF_UP: Final = 1
_MADE: Final = ("dummy", "vlan")
_MAX_VLAN: Final = 4094
_PARENT_OPTION: Final = "parent"


class Parents:
    """The parents of one instance, and the networks that use them; `owner` is its mark."""

    def __init__(self, rtnl: Rtnetlink, owner: str) -> None:
        self._rtnl = rtnl
        self._owner = owner
        self._users: dict[str, tuple[str, NetworkInfo]] = {}  # by the network's id: its parent, itself

    def use(self, name: str, info: NetworkInfo) -> None:
        """The network uses it from now on, whether it is there or not."""
        self._users[info.id] = (name, info)

    def give_back(self, info: NetworkInfo) -> None:
        """The network goes; so does its parent when it was made here and nobody else uses it. Idempotent."""
        name, _ = self._users.pop(info.id, ("", info))
        if name and not self.users(name) and name in self._made():
            self._delete(name)

    def users(self, name: str) -> list[NetworkInfo]:
        """The networks that use it."""
        return [info for parent, info in self._users.values() if parent == name]

    def ensure(self, name: str) -> int:
        """Make what can be made when it is not there; its index.

        Raises InvalidArgument in Docker's words for what cannot be made, SystemFailure when the kernel refuses.
        """
        if not _is_there(name):
            if any(info.options.get(_PARENT_OPTION, "") == "" for info in self.users(name)):
                self._make(name, "dummy", [])
            else:
                self._make_vlan(name)
        return socket.if_nametoindex(name)

    def remove_strays(self) -> list[str]:
        """Remove and name those made here that nobody uses."""
        used = {name for name, _ in self._users.values()}
        strays = [name for name in self._made() if name not in used]
        for name in strays:
            self._delete(name)
        return strays

    def _make_vlan(self, name: str) -> None:
        parent, number = _parse(name)
        data = {"attrs": [("IFLA_VLAN_ID", number)]}
        self._make(name, "vlan", [("IFLA_LINK", socket.if_nametoindex(parent))], ("IFLA_INFO_DATA", data))

    def _make(self, name: str, kind: str, attrs: list[tuple[str, Any]], *data: tuple[str, Any]) -> None:
        info = {"attrs": [("IFLA_INFO_KIND", kind), *data]}
        link = messages.link(attrs=[("IFLA_IFNAME", name), *attrs, ("IFLA_LINKINFO", info)])
        try:
            self._rtnl.batch([(netlink.RTM_NEWLINK, netlink.CREATE, link)])
            self._rtnl.batch([(netlink.RTM_SETLINK, 0, self._marked(name))])
        except OSError as error:
            self._delete(name)
            unknown = f": this kernel has no {kind} interfaces" if error.errno == errno.EOPNOTSUPP else ""
            raise errdefs.SystemFailure(f"cannot make {kind} {name}: {error.strerror}{unknown}") from error

    def _marked(self, name: str) -> bytes:
        attrs = [("IFLA_IFALIAS", self._owner)]
        return messages.link(socket.if_nametoindex(name), flags=_IFF_UP, change=_IFF_UP, attrs=attrs)

    def _made(self) -> list[str]:
        return [
            each.name for kind in _MADE for each in links.every(self._rtnl, kind) if each.alias == self._owner
        ]

    def _delete(self, name: str) -> None:
        with contextlib.suppress(NetlinkError):  # it is gone already
            self._rtnl.batch([(netlink.RTM_DELLINK, 0, changes.link(changes.named(name)))])


def _is_there(name: str) -> bool:
    return name in {each for _, each in socket.if_nameindex()}


def _parse(name: str) -> tuple[str, int]:
    """Parent and number of a VLAN's interface, from its name."""
    parts = name.split(".")
    if len(parts) == 1:
        raise errdefs.InvalidArgument(
            f"invalid subinterface vlan name {name}, example formatting is eth0.10: there is no interface {name}"
        )
    if len(parts) != 2:
        raise errdefs.InvalidArgument(
            f"required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received {name}"
        )
    parent, text = parts
    if not text.isascii() or not text.isdecimal():
        raise errdefs.InvalidArgument(
            f"unable to parse a valid vlan id from: {text} (ex. eth0.10 for vlan 10)"
        )
    if not _is_there(parent):
        raise errdefs.InvalidArgument(f"-o parent interface was not found on the host: {parent}")
    number = int(text[:9])
    if not 1 <= number <= _MAX_VLAN:
        raise errdefs.InvalidArgument(f"vlan id must be between 1-{_MAX_VLAN}, received: {number}")
    return parent, number
