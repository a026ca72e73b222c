"""The bridge interface of the host: found or made, with an address. Blocks: for the worker's thread."""

from __future__ import annotations

import contextlib
import errno
import logging
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    NetmaskValueError,
    ip_address,
)
from typing import Final

import errdefs
from network import netlink, resolvconf, sysctl
from network.ipam import pools
from network.netlink import NetlinkError, Rtnetlink
from network.nftables import elements
from network.nftables.transaction import NftError, Transactions

_log = logging.getLogger(__name__)

_IFF_UP: Final = 1
_MAIN_TABLE: Final = 254


@dataclass(frozen=True, slots=True)
class Device:
    """A bridge and its address, which is the gateway of its containers. `ours`: this instance made it."""

    name: str
    index: int
    address: IPv4Interface
    ours: bool


def parse_bip(bip: str) -> IPv4Interface:
    """The value of --bip, an address with prefix length. Raises InvalidArgument."""
    try:
        address = IPv4Interface(bip)
    except (AddressValueError, NetmaskValueError, ValueError):
        raise errdefs.InvalidArgument(
            f"invalid bip {bip!r}: an IPv4 address with prefix length is needed"
        ) from None
    if (
        "/" not in bip
        or address.network.prefixlen > 30
        or address.ip
        in (
            address.network.network_address,
            address.network.broadcast_address,
        )
    ):
        raise errdefs.InvalidArgument(
            f"invalid bip {bip!r}: an address of a host in a subnet of at least 4 is needed"
        )
    return address


def reserve(name: str) -> Transactions:
    """Keep other daemons off the bridge until what is returned is closed: two would give the same addresses.

    An empty nftables table with an owner is a lock of this network namespace that root alone can take, that nobody else
    can remove, and that goes with its process. A kernel before 5.12 has none, and then there is no lock.
    Raises Conflict.
    """
    holder = Transactions()
    try:
        holder.commit([elements.lock(f"wherry_lock_{name.encode().hex()}")])
    except NftError as error:
        if error.errno == errno.EPERM:
            holder.close()
            raise errdefs.Conflict(
                f"bridge {name} is used by another wherryd: give each its own (--bridge)"
            ) from error
        _log.warning("bridge %s cannot be locked against a second wherryd: %s", name, error.strerror)
    return holder


def ensure(rtnl: Rtnetlink, name: str, bip: str | None, owner: str) -> Device:
    """Find the bridge or make it, give it an address when it has none, and bring it up.

    `owner` is written to the alias of a bridge that is made here: only such a one is ever readdressed or removed.
    """
    wanted = None if bip is None else parse_bip(bip)
    index, alias = _find(rtnl, name) or (_make(rtnl, name, owner), owner)
    ours = alias == owner
    present = list(_addresses(rtnl, index))
    address = _settle_address(rtnl, Device(name, index, IPv4Interface("0.0.0.0"), ours), present, wanted)
    _configure(name, ours=ours)
    rtnl.batch([(netlink.RTM_SETLINK, 0, netlink.link(index, flags=_IFF_UP, change=_IFF_UP))])
    return Device(name, index, address, ours)


def remove(rtnl: Rtnetlink, device: Device) -> None:
    """Remove a bridge that this instance made; another's stays."""
    if device.ours:
        with contextlib.suppress(NetlinkError):
            rtnl.batch([(netlink.RTM_DELLINK, 0, netlink.link(device.index))])


def _find(rtnl: Rtnetlink, name: str) -> tuple[int, str] | None:
    """(index, alias) of an interface; InvalidArgument when it is no bridge."""
    try:
        found = rtnl.get(netlink.RTM_GETLINK, netlink.link(attrs=[("IFLA_IFNAME", name)]))
    except NetlinkError as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    info = found.get_attr("IFLA_LINKINFO")
    if info is None or info.get_attr("IFLA_INFO_KIND") != "bridge":
        raise errdefs.InvalidArgument(f"interface {name} is not a bridge")
    return found["index"], found.get_attr("IFLA_IFALIAS") or ""


def _make(rtnl: Rtnetlink, name: str, owner: str) -> int:
    mac = "02:42:" + secrets.token_bytes(4).hex(
        ":"
    )  # a fixed one: else it is the lowest of the ports', and changes
    attrs = [
        ("IFLA_IFNAME", name),
        ("IFLA_ADDRESS", mac),
        ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge")]}),
    ]
    try:
        rtnl.batch([(netlink.RTM_NEWLINK, netlink.CREATE, netlink.link(attrs=attrs))])
    except NetlinkError as error:
        raise errdefs.SystemFailure(f"cannot create bridge {name}: {error.strerror}") from error
    index = socket.if_nametoindex(name)
    rtnl.batch([(netlink.RTM_SETLINK, 0, netlink.link(index, attrs=[("IFLA_IFALIAS", owner)]))])
    return index


def _settle_address(
    rtnl: Rtnetlink, device: Device, present: list[IPv4Interface], wanted: IPv4Interface | None
) -> IPv4Interface:
    if wanted is None and present:
        return present[0]
    if wanted is not None and wanted in present:
        return wanted
    if present and not device.ours:
        raise errdefs.InvalidArgument(
            f"bridge {device.name} has the address {present[0]}: give no bip, or that one, or remove the address"
        )
    address = wanted or _choose(rtnl, device.index)
    changes = [(netlink.RTM_DELADDR, 0, _address(device.index, old)) for old in present]
    rtnl.batch([*changes, (netlink.RTM_NEWADDR, netlink.CREATE, _address(device.index, address))])
    return address


def _address(index: int, address: IPv4Interface) -> netlink.Message:
    broadcast = str(address.network.broadcast_address)
    return netlink.address(index, str(address.ip), address.network.prefixlen, broadcast=broadcast)


def _choose(rtnl: Rtnetlink, bridge_index: int) -> IPv4Interface:
    nameservers = [ip_address(each) for each in resolvconf.parse(resolvconf.read_host()[0]).nameservers]
    subnet = pools.choose(
        list(_routes(rtnl, bridge_index)), [each for each in nameservers if isinstance(each, IPv4Address)]
    )
    return IPv4Interface(f"{subnet.network_address + 1}/{subnet.prefixlen}")


def _routes(rtnl: Rtnetlink, bridge_index: int) -> Iterator[IPv4Network]:
    for route in rtnl.dump(netlink.RTM_GETROUTE, netlink.routes_of()):
        destination = route.get_attr("RTA_DST")
        if destination and route["table"] == _MAIN_TABLE and route.get_attr("RTA_OIF") != bridge_index:
            yield IPv4Network(f"{destination}/{route['dst_len']}")


def _addresses(rtnl: Rtnetlink, index: int) -> Iterator[IPv4Interface]:
    for address in rtnl.dump(netlink.RTM_GETADDR, netlink.addresses_of()):
        if address["index"] == index:
            yield IPv4Interface(f"{address.get_attr('IFA_LOCAL')}/{address['prefixlen']}")


def _configure(name: str, *, ours: bool) -> None:
    """127.0.0.1 reaches published ports; a bridge of ours takes no part in IPv6, for its network has none."""
    sysctl.write(f"ipv4/conf/{name}/route_localnet", "1")
    if ours:
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
            sysctl.write(f"ipv6/conf/{name}/accept_ra", "0")
            sysctl.write(f"ipv6/conf/{name}/disable_ipv6", "1")
