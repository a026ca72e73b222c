"""Interfaces, addresses and routes as the kernel tells of them.

What is needed of it is asked and read here: pyroute2 takes 0.2 ms to ask and 0.3 to read all of one interface.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from network import netlink
from network.netlink import NetlinkError, Rtnetlink, attribute, attributes, nested

_MESSAGE: Final = 16  # bytes of a message before the header of its kind
_LINK: Final = struct.Struct("=BxHiII")  # family, type, index, flags, change
_ADDRESS: Final = struct.Struct("=BBBBi")  # family, prefix length, flags, scope, index
_ROUTE: Final = struct.Struct("=BBBBBBBBI")  # family, length of destination, ..., table, ...
IFF_UP: Final = 1
_IFLA_ADDRESS: Final = 1
_IFLA_IFNAME: Final = 3
_IFLA_LINK: Final = 5
_IFLA_QDISC: Final = 6
_IFLA_OPERSTATE: Final = 16
_IFLA_LINKINFO: Final = 18
_IFLA_IFALIAS: Final = 20
_IFLA_AF_SPEC: Final = 26
_IFLA_EXT_MASK: Final = 29
_IFLA_CARRIER: Final = 33
_DOWN: Final = (b"\2", b"\7")  # IF_OPER_DOWN, IF_OPER_LOWERLAYERDOWN
_IFLA_INET_CONF: Final = 1
_IFLA_INET6_CONF: Final = 2
# Places of settings, from <linux/ip.h> (which counts from 1) and <linux/ipv6.h>.
_ROUTE_LOCALNET: Final = 26
_ACCEPT_RA, _DISABLE_IPV6, _ACCEPT_DAD = 3, 26, 27
_IFLA_INFO_KIND: Final = 1
_IFA_ADDRESS: Final = 1
_IFA_LOCAL: Final = 2
_RTA_DST, _RTA_OIF = 1, 4
_RTN_LOCAL: Final = 2
_SKIP_STATISTICS: Final = struct.pack("=I", 8)


class Settings(NamedTuple):
    """What sysctl knows of an interface; None where the kernel, or the interface, has no IPv6."""

    route_localnet: int | None = None
    accept_ra: int | None = None
    accept_dad: int | None = None
    disable_ipv6: int | None = None


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """An interface. `up`: it is to be. `other`: index of a pair's other end, or of what it is made on, or 0.

    `unseen`: it has a carrier which the kernel has not acted on yet, see settled.py.
    """

    index: int
    name: str
    kind: str
    alias: str
    mac: str
    up: bool
    other: int
    unseen: bool
    settings: Settings


def find(rtnl: Rtnetlink, *, name: str = "", index: int = 0) -> Link:
    """One interface. Raises NetlinkError (ENODEV when it is not there)."""
    named = attribute(_IFLA_IFNAME, name.encode() + b"\0") if name else b""
    return _link(rtnl.get(netlink.RTM_GETLINK, _asked(index, named)))


def every(rtnl: Rtnetlink, kind: str) -> list[Link]:
    """All interfaces of a kind in the namespace."""
    name = kind.encode() + b"\0"
    asked = _asked(0, nested(_IFLA_LINKINFO, attribute(_IFLA_INFO_KIND, name)))
    # A kernel that does not know the kind tells of all: most are passed over unread.
    found = [_link(raw) for raw in rtnl.dump(netlink.RTM_GETLINK, asked) if name in raw]
    return [each for each in found if each.kind == kind]


def addresses(rtnl: Rtnetlink, index: int) -> Iterator[str]:
    """The addresses of an interface, of both families, with their prefix lengths."""
    return (cidr for of, cidr in every_address(rtnl, index) if of == index)


def every_address(rtnl: Rtnetlink, index: int = 0) -> Iterator[tuple[int, str]]:
    """The addresses of all interfaces with the interface's index, or those of one, where the kernel can tell that."""
    for raw in rtnl.dump(netlink.RTM_GETADDR, _ADDRESS.pack(0, 0, 0, 0, index)):
        family, prefix_len, _, _, of = _ADDRESS.unpack_from(raw, _MESSAGE)
        found = dict(attributes(raw, _MESSAGE + _ADDRESS.size))
        own = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
        if own is not None:
            yield of, f"{socket.inet_ntop(family, own)}/{prefix_len}"


class Route(NamedTuple):
    """To a destination in CIDR form, by the interface of that index; 0 where several lead there."""

    destination: str
    interface: int


def routes(rtnl: Rtnetlink, family: int) -> Iterator[Route]:
    """Those of the main table, but for default routes."""
    asked = _ROUTE.pack(family, 0, 0, 0, netlink.MAIN_TABLE, 0, 0, 0, 0)
    for raw in rtnl.dump(netlink.RTM_GETROUTE, asked):
        _, size, _, _, table, *_ = _ROUTE.unpack_from(raw, _MESSAGE)
        found = dict(attributes(raw, _MESSAGE + _ROUTE.size))
        destination = found.get(_RTA_DST)
        if destination is not None and table == netlink.MAIN_TABLE:  # an old kernel gives those of all tables
            interface = int.from_bytes(found.get(_RTA_OIF, b""), sys.byteorder)
            yield Route(f"{socket.inet_ntop(family, destination)}/{size}", interface)


def is_received(rtnl: Rtnetlink, ipv6: str) -> bool:
    """Whether packets to the address are the namespace's own to take."""
    to = attribute(_RTA_DST, socket.inet_pton(socket.AF_INET6, ipv6))
    try:
        raw = rtnl.get(netlink.RTM_GETROUTE, _ROUTE.pack(socket.AF_INET6, 128, 0, 0, 0, 0, 0, 0, 0) + to)
    except NetlinkError:  # nothing leads there
        return False
    return bool(_ROUTE.unpack_from(raw, _MESSAGE)[7] == _RTN_LOCAL)


def _asked(index: int, attrs: bytes) -> bytes:
    return _LINK.pack(0, 0, index, 0, 0) + attrs + attribute(_IFLA_EXT_MASK, _SKIP_STATISTICS)


def _link(raw: bytes) -> Link:
    _, _, index, flags, _ = _LINK.unpack_from(raw, _MESSAGE)
    found = dict(attributes(raw, _MESSAGE + _LINK.size))
    info = dict(attributes(found.get(_IFLA_LINKINFO, b"")))
    return Link(
        index=index,
        name=_text(found.get(_IFLA_IFNAME)),
        kind=_text(info.get(_IFLA_INFO_KIND)),
        alias=_text(found.get(_IFLA_IFALIAS)),
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        up=bool(flags & IFF_UP),
        other=int.from_bytes(found.get(_IFLA_LINK, b""), sys.byteorder),
        unseen=found.get(_IFLA_CARRIER) == b"\1"
        and (found.get(_IFLA_OPERSTATE) in _DOWN or found.get(_IFLA_QDISC) == b"noop\0"),
        settings=_settings(dict(attributes(found.get(_IFLA_AF_SPEC, b"")))),
    )


def _settings(families: dict[int, bytes]) -> Settings:
    """From the kernel's arrays of numbers."""
    ipv4 = dict(attributes(families.get(socket.AF_INET, b""))).get(_IFLA_INET_CONF, b"")
    ipv6 = dict(attributes(families.get(socket.AF_INET6, b""))).get(_IFLA_INET6_CONF, b"")
    return Settings(
        _number(ipv4, _ROUTE_LOCALNET - 1),
        *(_number(ipv6, each) for each in (_ACCEPT_RA, _ACCEPT_DAD, _DISABLE_IPV6)),
    )


def _number(array: bytes, place: int) -> int | None:
    size = struct.calcsize("=i")
    return struct.unpack_from("=i", array, place * size)[0] if len(array) >= (place + 1) * size else None


def _text(value: bytes | None) -> str:
    return "" if value is None else value.rstrip(b"\0").decode(errors="replace")
