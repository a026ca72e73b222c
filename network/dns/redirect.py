"""The nftables table inside a container's namespace that leads 127.0.0.11:53 to the ports that are served.

So port 53 stays free for the container. The table is the only record of the ports: it lives as long as the namespace,
and the next daemon reads them back from it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from network.netlink import NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST, attribute, attributes, nested, split
from network.nftables.transaction import INET, NEW_TABLE, Message, text
from network.resolvconf import EMBEDDED

ADDRESS: Final = EMBEDDED
PORT: Final = 53
TABLE: Final = "wherry_dns"

_CHAIN: Final = "redirect"
_DELETE_TABLE, _NEW_CHAIN, _NEW_RULE, _GET_RULE = 2, 3, 6, 7
_SUBSYSTEM: Final = 10 << 8
_NLM_F_APPEND: Final = 0x800
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_HEADER: Final = struct.Struct("=IHHII")
_HEADERS: Final = 20  # netlink's and nfgenmsg
_DSTNAT: Final = -100
_HOOK_OUTPUT: Final = 3
_RECEIVE: Final = 1 << 16

# Registers and attributes of nftables' expressions.
_REGISTER_1, _REGISTER_2 = 1, 2
_EQUAL: Final = 0
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_META_NFPROTO, _META_L4PROTO = 15, 16
_NAT_DESTINATION: Final = 1
_RULE_EXPRESSIONS: Final = 4
_EXPRESSION_NAME, _EXPRESSION_DATA = 1, 2
_CMP_DATA, _IMMEDIATE_DATA, _DATA_VALUE = 3, 2, 1


class Ports(NamedTuple):
    """Where queries to port 53 are served; 0 for any port that is free."""

    udp: int
    tcp: int


ANY_PORTS: Final = Ports(0, 0)


def table(ports: Ports) -> list[Message]:
    """The changes that make the table, in place of one that may be there."""
    named = text(1, TABLE)
    hook = nested(4, _number(1, _HOOK_OUTPUT), attribute(2, struct.pack(">i", _DSTNAT)))
    return [
        Message(NEW_TABLE, NLM_F_CREATE, named),
        Message(_DELETE_TABLE, 0, named),
        Message(NEW_TABLE, NLM_F_CREATE, named),
        Message(_NEW_CHAIN, NLM_F_CREATE, named + text(3, _CHAIN) + hook + text(7, "nat")),
        _rule(socket.IPPROTO_UDP, ports.udp),
        _rule(socket.IPPROTO_TCP, ports.tcp),
    ]


def ports_of(rules: list[bytes]) -> Ports:
    """The ports in the attributes of the table's rules; 0 for one that is not there."""
    found = {socket.IPPROTO_UDP: 0, socket.IPPROTO_TCP: 0}
    for rule in rules:
        values = list(_values(rule))
        for kind, value in values:
            if kind == "immediate" and len(value) == 2:
                (port,) = struct.unpack(">H", value)
                for protocol in found:
                    if ("cmp", bytes((protocol,))) in values:
                        found[protocol] = port
    return Ports(found[socket.IPPROTO_UDP], found[socket.IPPROTO_TCP])


def read(netfilter: socket.socket) -> Ports:
    """The ports that the table in the socket's namespace leads to. Blocks; raises OSError."""
    header = struct.pack(">BBH", INET, 0, 0)
    body = header + text(1, TABLE)
    request = _HEADER.pack(_HEADER.size + len(body), _SUBSYSTEM | _GET_RULE, NLM_F_REQUEST | NLM_F_DUMP, 1, 0)
    netfilter.send(request + body)
    return ports_of(list(_dumped(netfilter)))


def _dumped(netfilter: socket.socket) -> Iterator[bytes]:
    while True:
        for kind, raw in split(netfilter.recv(_RECEIVE)):
            if kind in (_NLMSG_DONE, _NLMSG_ERROR):  # an error: no such table
                return
            yield raw[_HEADERS:]


def _rule(protocol: int, port: int) -> Message:
    """`meta nfproto ipv4 ip daddr 127.0.0.11 meta l4proto P th dport 53 dnat ip to 127.0.0.11:port`"""
    address = socket.inet_aton(ADDRESS)
    expressions = (
        _meta(_META_NFPROTO),
        _equals(bytes((socket.AF_INET,))),
        _payload(_NETWORK_HEADER, 16, 4),
        _equals(address),
        _meta(_META_L4PROTO),
        _equals(bytes((protocol,))),
        _payload(_TRANSPORT_HEADER, 2, 2),
        _equals(struct.pack(">H", PORT)),
        _immediate(_REGISTER_1, address),
        _immediate(_REGISTER_2, struct.pack(">H", port)),
        _expression(
            "nat",
            _number(1, _NAT_DESTINATION),
            _number(2, socket.AF_INET),
            _number(3, _REGISTER_1),
            _number(5, _REGISTER_2),
        ),
    )
    chain = text(1, TABLE) + text(2, _CHAIN)
    return Message(_NEW_RULE, NLM_F_CREATE | _NLM_F_APPEND, chain + nested(_RULE_EXPRESSIONS, *expressions))


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(1, text(_EXPRESSION_NAME, name), nested(_EXPRESSION_DATA, *attributes))


def _meta(key: int) -> bytes:
    return _expression("meta", _number(2, key), _number(1, _REGISTER_1))


def _payload(base: int, offset: int, length: int) -> bytes:
    return _expression(
        "payload", _number(1, _REGISTER_1), _number(2, base), _number(3, offset), _number(4, length)
    )


def _equals(data: bytes) -> bytes:
    value = nested(_CMP_DATA, attribute(_DATA_VALUE, data))
    return _expression("cmp", _number(1, _REGISTER_1), _number(2, _EQUAL), value)


def _immediate(register: int, data: bytes) -> bytes:
    return _expression(
        "immediate", _number(1, register), nested(_IMMEDIATE_DATA, attribute(_DATA_VALUE, data))
    )


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value))


def _values(rule: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and value of the expressions of a rule that have a value."""
    for expression in _all(_first(rule, _RULE_EXPRESSIONS)):
        name = _first(expression, _EXPRESSION_NAME).rstrip(b"\0").decode(errors="replace")
        kind = {"cmp": _CMP_DATA, "immediate": _IMMEDIATE_DATA}.get(name)
        if kind is not None:
            yield name, _first(_first(_first(expression, _EXPRESSION_DATA), kind), _DATA_VALUE)


def _first(raw: bytes, kind: int) -> bytes:
    return next((data for each, data in attributes(raw) if each == kind), b"")


def _all(raw: bytes) -> list[bytes]:
    return [data for _, data in attributes(raw)]
