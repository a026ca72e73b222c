"""Deletes flows from conntrack, filtered inside the kernel (`conntrack -D` reads the whole table: 40 times slower).

Two cases need it. When a container stops, its flows would lead to whoever gets its address next. When a UDP port is
published, packets of a flow that is older than the rule would never meet the rule.
The filter (CTA_FILTER) needs Linux 5.8; an older kernel refuses the incomplete tuple, and flows time out by themselves.
"""

from __future__ import annotations

import socket
import struct
from typing import Final

from network.netlink import NetlinkError, split

_NETLINK_NETFILTER: Final = 12
_DELETE: Final = 1 << 8 | 2
_REQUEST_ACK: Final = 0x5
_NESTED: Final = 0x8000
_CTA_TUPLE_ORIG: Final = 1
_CTA_TUPLE_REPLY: Final = 2
_CTA_TUPLE_IP: Final = 1
_CTA_TUPLE_PROTO: Final = 2
_CTA_IP_V4_SRC: Final = 1
_CTA_PROTO_NUM: Final = 1
_CTA_PROTO_DST_PORT: Final = 3
_CTA_FILTER: Final = 25
_FILTER_ORIG_FLAGS: Final = 1
_FILTER_REPLY_FLAGS: Final = 2
_MATCH_IP_SRC: Final = 1 << 0
_MATCH_PROTO_NUM: Final = 1 << 3
_MATCH_PROTO_DST_PORT: Final = 1 << 5


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

    def forget_container(self, ip: str) -> None:
        """Delete the flows that the container at this IPv4 address opened or answers. Best effort."""
        self._delete(flows_from(ip))
        self._delete(flows_answered_by(ip))

    def forget_port(self, proto: int, port: int) -> None:
        """Delete the flows that were opened to this port of whatever IPv4 host. Best effort."""
        self._delete(port_flows(proto, port))

    def _delete(self, payload: bytes) -> None:
        self._socket.send(struct.pack("=IHHII", 16 + len(payload), _DELETE, _REQUEST_ACK, 1, 0) + payload)
        for _, raw in split(self._socket.recv(1 << 16)):
            (code,) = struct.unpack_from("=i", raw, 16)
            if code and -code not in _NOTHING_THERE:
                raise NetlinkError(-code, "conntrack delete")


_NOTHING_THERE: Final = (2, 22)  # ENOENT: no such flow; EINVAL: a kernel without filters


def flows_from(ip: str) -> bytes:
    """The body of a delete request for flows that `ip` opened."""
    return _body(_nest(_CTA_TUPLE_ORIG, _source(ip)), original=_MATCH_IP_SRC)


def flows_answered_by(ip: str) -> bytes:
    """The body of a delete request for flows whose answers come from `ip`."""
    return _body(_nest(_CTA_TUPLE_REPLY, _source(ip)), reply=_MATCH_IP_SRC)


def _source(ip: str) -> bytes:
    return _nest(_CTA_TUPLE_IP, _attribute(_CTA_IP_V4_SRC, socket.inet_aton(ip)))


def port_flows(proto: int, port: int) -> bytes:
    """The body of a delete request for flows to `port` of protocol number `proto`."""
    number = _attribute(_CTA_PROTO_NUM, bytes([proto]))
    target = _nest(_CTA_TUPLE_PROTO, number + _attribute(_CTA_PROTO_DST_PORT, struct.pack(">H", port)))
    return _body(_nest(_CTA_TUPLE_ORIG, target), original=_MATCH_PROTO_NUM | _MATCH_PROTO_DST_PORT)


def _body(attributes: bytes, *, original: int = 0, reply: int = 0) -> bytes:
    flags = _attribute(_FILTER_ORIG_FLAGS, struct.pack("=I", original))
    flags += _attribute(_FILTER_REPLY_FLAGS, struct.pack("=I", reply))
    return struct.pack(">BBH", socket.AF_INET, 0, 0) + attributes + _nest(_CTA_FILTER, flags)


def _nest(kind: int, body: bytes) -> bytes:
    return _attribute(kind | _NESTED, body)


def _attribute(kind: int, data: bytes) -> bytes:
    length = 4 + len(data)
    return struct.pack("=HH", length, kind) + data + b"\0" * (-length % 4)
