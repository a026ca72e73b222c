"""Deletes flows from conntrack, filtered inside the kernel (`conntrack -D` reads the whole table: 40 times slower).

Two cases need it. When a container stops, its flows would lead to whoever gets its address next. When a UDP port is
published, packets of a flow that is older than the rule would never meet the rule.
The filter (CTA_FILTER) needs Linux 5.8; an older kernel refuses the incomplete tuple, and flows time out by themselves.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection, Iterable, Iterator
from ipaddress import ip_address
from typing import Final

from network.netlink import NetlinkError, attribute, attributes, family_of, nested, split

_NETLINK_NETFILTER: Final = 12
_GET: Final = 1 << 8 | 1
_DELETE: Final = 1 << 8 | 2
_REQUEST_ACK: Final = 0x5
_REQUEST_DUMP: Final = 0x301
_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
_HEADERS: Final = 16 + 4
_CTA_TUPLE_ORIG: Final = 1
_CTA_TUPLE_REPLY: Final = 2
_CTA_TUPLE_IP: Final = 1
_CTA_TUPLE_PROTO: Final = 2
_CTA_IP_SRC: Final = {4: 1, 6: 3}
_CTA_PROTO_NUM: Final = 1
_CTA_PROTO_DST_PORT: Final = 3
_CTA_FILTER: Final = 25
_FILTER_ORIG_FLAGS: Final = 1
_FILTER_REPLY_FLAGS: Final = 2
_MATCH_IP_SRC: Final = 1 << 0
_MATCH_PROTO_NUM: Final = 1 << 3
_MATCH_PROTO_DST_PORT: Final = 1 << 5
_NOTHING_THERE: Final = (2, 22)  # ENOENT: no such flow; EINVAL: a kernel without filters
_FEW: Final = 8  # ports that are asked for one by one; each goes through the kernel's whole table
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)


class Conntrack:
    """A socket of the namespace of the thread that makes it. Closing it waits for RCU: never on the loop."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER
        )
        self._socket.bind((0, 0))

    def close(self) -> None:
        """Close the socket; idempotent."""
        self._socket.close()

    def forget_container(self, addresses: Iterable[str]) -> None:
        """Delete the flows that the container at these addresses opened or answers. Best effort."""
        for ip in addresses:
            self._delete(flows_from(ip))
            self._delete(flows_answered_by(ip))

    def forget_ports(self, proto: int, ports: Collection[int]) -> None:
        """Delete the flows that were opened to these ports of whatever host. Best effort."""
        for family in _FAMILIES if ports else ():
            found = ports if len(ports) <= _FEW else self._ports_in_use(family, proto) & set(ports)
            for port in found:
                self._delete(port_flows(proto, port, family))

    def _ports_in_use(self, family: int, proto: int) -> set[int]:
        """The ports to which there are flows."""
        payload = proto_flows(proto, family)
        self._socket.send(struct.pack("=IHHII", 16 + len(payload), _GET, _REQUEST_DUMP, 1, 0) + payload)
        found: set[int] = set()
        while True:
            for kind, raw in split(self._socket.recv(1 << 16)):
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                    return found
                found.update(_destination_ports(raw))

    def _delete(self, payload: bytes) -> None:
        self._socket.send(struct.pack("=IHHII", 16 + len(payload), _DELETE, _REQUEST_ACK, 1, 0) + payload)
        for _, raw in split(self._socket.recv(1 << 16)):
            (code,) = struct.unpack_from("=i", raw, 16)
            if code and -code not in _NOTHING_THERE:
                raise NetlinkError(-code, "conntrack delete")


def flows_from(ip: str) -> bytes:
    """The body of a delete request for flows that `ip` opened."""
    return _body(family_of(ip), nested(_CTA_TUPLE_ORIG, _source(ip)), original=_MATCH_IP_SRC)


def flows_answered_by(ip: str) -> bytes:
    """The body of a delete request for flows whose answers come from `ip`."""
    return _body(family_of(ip), nested(_CTA_TUPLE_REPLY, _source(ip)), reply=_MATCH_IP_SRC)


def port_flows(proto: int, port: int, family: int = socket.AF_INET) -> bytes:
    """The body of a delete request for flows to `port` of protocol number `proto`."""
    number = attribute(_CTA_PROTO_NUM, bytes([proto]))
    target = nested(_CTA_TUPLE_PROTO, number + attribute(_CTA_PROTO_DST_PORT, struct.pack(">H", port)))
    return _body(family, nested(_CTA_TUPLE_ORIG, target), original=_MATCH_PROTO_NUM | _MATCH_PROTO_DST_PORT)


def proto_flows(proto: int, family: int) -> bytes:
    """The body of a request for flows of protocol number `proto`."""
    target = nested(_CTA_TUPLE_PROTO, attribute(_CTA_PROTO_NUM, bytes([proto])))
    return _body(family, nested(_CTA_TUPLE_ORIG, target), original=_MATCH_PROTO_NUM)


def _destination_ports(raw: bytes) -> Iterator[int]:
    """The port that a flow was opened to, from the kernel's message about it."""
    for kind, tuple_ in attributes(raw[_HEADERS:]):
        if kind != _CTA_TUPLE_ORIG:
            continue
        for part, body in attributes(tuple_):
            if part == _CTA_TUPLE_PROTO:
                yield from (
                    struct.unpack(">H", data[:2])[0]
                    for number, data in attributes(body)
                    if number == _CTA_PROTO_DST_PORT
                )


def _source(ip: str) -> bytes:
    address = ip_address(ip)
    return nested(_CTA_TUPLE_IP, attribute(_CTA_IP_SRC[address.version], address.packed))


def _body(family: int, tuple_: bytes, *, original: int = 0, reply: int = 0) -> bytes:
    flags = attribute(_FILTER_ORIG_FLAGS, struct.pack("=I", original))
    flags += attribute(_FILTER_REPLY_FLAGS, struct.pack("=I", reply))
    return struct.pack(">BBH", family, 0, 0) + tuple_ + nested(_CTA_FILTER, flags)
