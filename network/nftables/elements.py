"""Single changes as netlink messages: elements of published ports, and the table that is a lock. Pure.

The elements are those of `ruleset.add`, for the maps that `ruleset` declares.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import Final

from network.netlink import NLM_F_CREATE
from network.nftables.ruleset import Published
from network.nftables.transaction import (
    DELETE_ELEMENT,
    NEW_ELEMENT,
    NEW_TABLE,
    Message,
    attribute,
    nested,
    text,
)
from network.ports import NUMBERS

_AT_ONCE: Final = 500  # elements in a message: the length of an attribute has 16 bits
_TABLE_NAME, _TABLE_FLAGS, _OWNER = 1, 2, 0x2
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS, _LIST_ELEMENT = 1, 2, 3, 1
_ELEMENT_KEY, _ELEMENT_DATA, _DATA_VALUE = 1, 2, 1


def add(table: str, published: Iterable[Published]) -> list[Message]:
    """Add elements; refused when one is there with another target."""
    return _messages(NEW_ELEMENT, NLM_F_CREATE, table, published)


def remove(table: str, published: Iterable[Published]) -> list[Message]:
    """Remove elements; refused when one is not there."""
    return _messages(DELETE_ELEMENT, 0, table, published)


def lock(table: str) -> Message:
    """Make an empty table that belongs to the socket; refused when another's has it, or the kernel knows no owners."""
    return Message(
        NEW_TABLE,
        NLM_F_CREATE,
        text(_TABLE_NAME, table) + attribute(_TABLE_FLAGS, struct.pack(">I", _OWNER)),
    )


def _messages(kind: int, flags: int, table: str, published: Iterable[Published]) -> list[Message]:
    maps: dict[str, list[bytes]] = {}
    for each in sorted(published, key=lambda each: (each.host_ip, each.proto, each.host_port)):
        element = nested(_ELEMENT_KEY, attribute(_DATA_VALUE, _key(each)))
        if kind == NEW_ELEMENT:
            element += nested(_ELEMENT_DATA, attribute(_DATA_VALUE, _target(each)))
        maps.setdefault("addr4" if each.host_ip else "any4", []).append(nested(_LIST_ELEMENT, element))
    return [
        Message(
            kind,
            flags,
            text(_LIST_TABLE, table)
            + text(_LIST_SET, name)
            + nested(_LIST_ELEMENTS, *elements[begin : begin + _AT_ONCE]),
        )
        for name, elements in maps.items()
        for begin in range(0, len(elements), _AT_ONCE)
    ]


# Each part of a key or of a target fills a register of four bytes.


def _key(published: Published) -> bytes:
    address = IPv4Address(published.host_ip).packed if published.host_ip else b""
    return address + struct.pack(">BxxxHxx", NUMBERS[published.proto], published.host_port)


def _target(published: Published) -> bytes:
    return IPv4Address(published.container_ip).packed + struct.pack(">Hxx", published.container_port)
