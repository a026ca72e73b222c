"""A small table that a flush of the whole ruleset does not reach, for the moment until the rules are back. Pure.

It belongs to the daemon's socket: nobody else can change it, `nft flush ruleset` passes it over, and it goes with the
daemon. It lets nothing from or to our bridges through that our rules have not marked, nothing from a wire to
127.0.0.0/8, and nothing from an internal network to other addresses of the host. So while the rules are away
containers are cut off, not open. The kernel has owners since Linux 5.12.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from network.netlink import NLM_F_CREATE, attribute, nested
from network.nftables import elements
from network.nftables.element import Element, Interface
from network.nftables.transaction import (
    DELETE_TABLE,
    NEW_CHAIN,
    NEW_RULE,
    NEW_SET,
    Message,
    text,
)

_APPEND: Final = 0x800
_PREROUTING, _INPUT, _FORWARD = 0, 1, 2
_RAW, _FILTER, _AFTER_FILTER = -300, 0, 1
_META_MARK, _META_IIFNAME, _META_OIFNAME, _META_NFPROTO = 3, 6, 7, 15
_NFPROTO_IPV4: Final = 2
_FIB_TYPE, _FIB_DESTINATION_ON_INTERFACE, _UNICAST = 3, 2 | 8, 1
_EQUAL, _NOT_EQUAL = 0, 1
_NETWORK_HEADER, _DESTINATION = 1, 16
_DROP, _ACCEPT = 0, 1
_TYPE_IFNAME, _IFNAME_SIZE = 41, 16
_HOST_ORDER: Final = struct.pack("=BBI", 0, 4, 1)  # for nft's list: names are no big numbers
_REGISTER: Final = 1
_BRIDGES, _INTERNAL = "bridges", "internal"


def table_name(table: str) -> str:
    """The shield of an instance, from the name of its table."""
    return f"{table}_shield"


def make(table: str, mark: int) -> list[Message]:
    """Make it; refused where the kernel knows no owners, or another process has it."""
    return [
        elements.lock(table),
        _chain(table, "wire", _PREROUTING, _RAW),
        _chain(table, "input", _INPUT, _FILTER),
        _chain(table, "forward", _FORWARD, _AFTER_FILTER),
        _set(table, _BRIDGES, 1),
        _set(table, _INTERNAL, 2),
        _rule(
            table,
            "wire",
            _meta(_META_IIFNAME),
            _compare(_NOT_EQUAL, b"lo".ljust(_IFNAME_SIZE, b"\0")),
            _meta(_META_NFPROTO),
            _compare(_EQUAL, bytes([_NFPROTO_IPV4])),
            _destination_first_byte(),
            _compare(_EQUAL, bytes([127])),
            _verdict(_DROP),
        ),
        _rule(
            table,
            "input",
            _meta(_META_IIFNAME),
            _lookup(_INTERNAL, 2),
            _fib_type(),
            _compare(_EQUAL, struct.pack("=I", _UNICAST)),
            _verdict(_DROP),
        ),
        _rule(
            table,
            "forward",
            _meta(_META_MARK),
            _mask(struct.pack("=I", mark)),
            _compare(_NOT_EQUAL, bytes(4)),
            _verdict(_ACCEPT),
        ),
        _rule(table, "forward", _meta(_META_OIFNAME), _lookup(_BRIDGES, 1), _verdict(_DROP)),
        _rule(table, "forward", _meta(_META_IIFNAME), _lookup(_BRIDGES, 1), _verdict(_DROP)),
    ]


def delete(table: str) -> list[Message]:
    """Remove it."""
    return [Message(DELETE_TABLE, 0, text(1, table))]


def bridge(name: str, *, internal: bool) -> list[Element]:
    """The elements that put a bridge behind it."""
    sets = (_BRIDGES, _INTERNAL) if internal else (_BRIDGES,)
    return [Element(each, (Interface(name),)) for each in sets]


def _chain(table: str, name: str, hook: int, priority: int) -> Message:
    place = nested(4, attribute(1, struct.pack(">I", hook)), attribute(2, struct.pack(">i", priority)))
    return Message(NEW_CHAIN, NLM_F_CREATE, text(1, table) + text(3, name) + place + text(7, "filter"))


def _set(table: str, name: str, number: int) -> Message:
    key = attribute(4, struct.pack(">I", _TYPE_IFNAME)) + attribute(5, struct.pack(">I", _IFNAME_SIZE))
    rest = attribute(10, struct.pack(">I", number)) + attribute(13, _HOST_ORDER)
    return Message(NEW_SET, NLM_F_CREATE, text(1, table) + text(2, name) + key + rest)


def _rule(table: str, chain: str, *expressions: bytes) -> Message:
    body = text(1, table) + text(2, chain) + nested(4, *expressions)
    return Message(NEW_RULE, NLM_F_CREATE | _APPEND, body)


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(1, text(1, name), nested(2, *attributes))


def _numbers(values: Sequence[tuple[int, int]]) -> list[bytes]:
    return [attribute(kind, struct.pack(">I", value)) for kind, value in values]


def _meta(key: int) -> bytes:
    return _expression("meta", *_numbers([(1, _REGISTER), (2, key)]))


def _compare(operator: int, value: bytes) -> bytes:
    return _expression("cmp", *_numbers([(1, _REGISTER), (2, operator)]), nested(3, attribute(1, value)))


def _mask(mask: bytes) -> bytes:
    values = nested(4, attribute(1, mask)) + nested(5, attribute(1, bytes(len(mask))))
    return _expression("bitwise", *_numbers([(1, _REGISTER), (2, _REGISTER), (3, len(mask))]), values)


def _destination_first_byte() -> bytes:
    return _expression(
        "payload", *_numbers([(1, _REGISTER), (2, _NETWORK_HEADER), (3, _DESTINATION), (4, 1)])
    )


def _lookup(name: str, number: int) -> bytes:
    return _expression("lookup", text(1, name), *_numbers([(2, _REGISTER), (4, number)]))


def _fib_type() -> bytes:
    values = [(1, _REGISTER), (2, _FIB_TYPE), (3, _FIB_DESTINATION_ON_INTERFACE)]
    return _expression("fib", *_numbers(values))


def _verdict(code: int) -> bytes:
    verdict = nested(2, attribute(1, struct.pack(">I", code)))
    return _expression("immediate", *_numbers([(1, 0)]), nested(2, verdict))
