"""Messages that change interfaces, addresses and routes, as each start of a container sends them.

They are encoded here: pyroute2 takes half a millisecond for those of one start. What is not sent with each container
(bridges, parents, kinds of interfaces) is encoded by it, see messages.py.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_interface
from typing import Final

from network.netlink import MAIN_TABLE, attribute, family_of, nested

IFF_UP: Final = 1
_LINK: Final = struct.Struct("=BxHiII")  # family, type, index, flags, change
_ADDRESS: Final = struct.Struct("=BBBBi")  # family, prefix length, flags, scope, index
_ROUTE: Final = struct.Struct(
    "=8BI"
)  # family, length of destination, -, -, table, protocol, scope, type, flags
_IFLA_ADDRESS: Final = 1
_IFLA_IFNAME: Final = 3
_IFLA_MTU: Final = 4
_IFLA_MASTER: Final = 10
_IFLA_PROTINFO: Final = 12
_IFLA_LINKINFO: Final = 18
_IFLA_NET_NS_FD: Final = 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA = 1, 2
_IFLA_INFO_SLAVE_KIND, _IFLA_INFO_SLAVE_DATA = 4, 5
_VETH_INFO_PEER: Final = 1
_IFLA_BRPORT_STATE: Final = 1
_IFLA_BRPORT_MODE: Final = 4
_IFLA_BRPORT_FLUSH: Final = 24
# Learning, unicast flood, multicast flood, broadcast flood, locked.
_SILENCE: Final = {8: 0, 9: 0, 27: 0, 30: 0, 39: 1}
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_IFA_F_NODAD: Final = 0x02
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_BOOT: Final = 3
_UNICAST: Final = 1
_SCOPE_LINK: Final = 253


def link(*attributes: bytes, index: int = 0, family: int = 0, flags: int = 0, change: int = 0) -> bytes:
    """An interface, by its index or by the name among the attributes."""
    return _LINK.pack(family, 0, index, flags, change) + b"".join(attributes)


def up(index: int) -> bytes:
    """An interface is up."""
    return link(index=index, flags=IFF_UP, change=IFF_UP)


def down(index: int) -> bytes:
    """An interface is down."""
    return link(index=index, change=IFF_UP)


def named(name: str) -> bytes:
    """The attribute for an interface's name."""
    return attribute(_IFLA_IFNAME, name.encode() + b"\0")


def hardware(mac: str) -> bytes:
    """The attribute for a MAC address."""
    return attribute(_IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))


def in_namespace(fd: int) -> bytes:
    """The attribute that moves an interface to the namespace `fd`, or makes it there."""
    return attribute(_IFLA_NET_NS_FD, _u32(fd))


def veth(name: str, bridge: int, fd: int, inner: str, mac: str, mtu: int) -> bytes:
    """A pair: `name`, up and a port of the bridge, and `inner` in namespace `fd`, down. `mtu` 0 is the kernel's."""
    more = attribute(_IFLA_MTU, _u32(mtu)) if mtu else b""
    peer = link(named(inner), hardware(mac), in_namespace(fd), more)
    data = nested(_IFLA_INFO_DATA, attribute(_VETH_INFO_PEER, peer))
    info = nested(_IFLA_LINKINFO, attribute(_IFLA_INFO_KIND, b"veth\0"), data)
    master = attribute(_IFLA_MASTER, _u32(bridge))
    return link(named(name), master, info, more, flags=IFF_UP, change=IFF_UP)


def hairpin(name: str) -> bytes:
    """A port of a bridge that sends frames back to where they came from."""
    data = nested(_IFLA_INFO_SLAVE_DATA, attribute(_IFLA_BRPORT_MODE, b"\1"))
    return link(named(name), nested(_IFLA_LINKINFO, attribute(_IFLA_INFO_SLAVE_KIND, b"bridge\0"), data))


def silenced(index: int) -> bytes:
    """A port that neither hears nor is heard. "Disabled" alone is not enough: a late carrier event enables it again.

    In the bridge family: as slave data of the link, the kernel would enable a disabled port again at once.
    """
    settings = [attribute(kind, bytes((value,))) for kind, value in _SILENCE.items()]
    flush = attribute(_IFLA_BRPORT_FLUSH, b"")
    info = nested(_IFLA_PROTINFO, attribute(_IFLA_BRPORT_STATE, b"\0"), *settings, flush)
    return link(info, index=index, family=socket.AF_BRIDGE)


def address(index: int, cidr: str) -> bytes:
    """An address with its prefix length, with IPv4's broadcast address where there is one.

    An IPv6 address is valid at once: it is ours, nobody is asked whether it is a duplicate.
    """
    own = ip_interface(cidr)
    packed, size = own.packed, own.network.prefixlen
    attributes = attribute(_IFA_ADDRESS, packed) + attribute(_IFA_LOCAL, packed)
    if own.version == 6:
        return _ADDRESS.pack(socket.AF_INET6, size, _IFA_F_NODAD, 0, index) + attributes
    if size < 31:
        attributes += attribute(_IFA_BROADCAST, own.network.broadcast_address.packed)
    return _ADDRESS.pack(socket.AF_INET, size, 0, 0, index) + attributes


def route(index: int, destination: str, gateway: str) -> bytes:
    """A route to a subnet by a gateway on an interface, or by the interface itself without one."""
    subnet, _, size = destination.partition("/")
    family = family_of(subnet)
    attributes = attribute(_RTA_OIF, _u32(index))
    if int(size):
        attributes += attribute(_RTA_DST, socket.inet_pton(family, subnet))
    if gateway:
        attributes += attribute(_RTA_GATEWAY, socket.inet_pton(family, gateway))
    scope = 0 if gateway else _SCOPE_LINK
    return _ROUTE.pack(family, int(size), 0, 0, MAIN_TABLE, _BOOT, scope, _UNICAST, 0) + attributes


def default_route(index: int, family: int, gateway: str) -> bytes:
    """The default route of a family."""
    return route(index, "::/0" if family == socket.AF_INET6 else "0.0.0.0/0", gateway)


def _u32(value: int) -> bytes:
    return struct.pack("=I", value)
