"""Single changes as netlink messages: elements of sets and maps, and the table that is a lock. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from network.netlink import NLM_F_CREATE, attribute, nested
from network.nftables.element import Element, high, is_interval, low
from network.nftables.transaction import (
    DELETE_ELEMENT,
    NEW_ELEMENT,
    NEW_TABLE,
    Message,
    text,
)

_AT_ONCE: Final = 500  # elements in a message: the length of an attribute has 16 bits
_TABLE_NAME, _TABLE_FLAGS, _OWNER = 1, 2, 0x2
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS, _LIST_ELEMENT = 1, 2, 3, 1
_ELEMENT_KEY, _ELEMENT_DATA, _ELEMENT_FLAGS, _ELEMENT_KEY_END, _DATA_VALUE = 1, 2, 3, 10, 1
_INTERVAL_END: Final = struct.pack(">I", 1)


def add(table: str, elements: Iterable[Element]) -> list[Message]:
    """Add elements; refused when one is there with another target."""
    return _messages(NEW_ELEMENT, NLM_F_CREATE, table, elements)


def remove(table: str, elements: Iterable[Element]) -> list[Message]:
    """Remove elements; refused when one is not there."""
    return _messages(DELETE_ELEMENT, 0, table, elements)


def lock(table: str) -> Message:
    """Make an empty table that belongs to the socket; refused when another's has it, or the kernel knows no owners."""
    return Message(
        NEW_TABLE,
        NLM_F_CREATE,
        text(_TABLE_NAME, table) + attribute(_TABLE_FLAGS, struct.pack(">I", _OWNER)),
    )


def _messages(kind: int, flags: int, table: str, elements: Iterable[Element]) -> list[Message]:
    sets: dict[str, list[bytes]] = {}
    for each in elements:
        sets.setdefault(each.of, []).extend(_encoded(each, with_target=kind == NEW_ELEMENT))
    return [
        Message(
            kind,
            flags,
            text(_LIST_TABLE, table)
            + text(_LIST_SET, name)
            + nested(_LIST_ELEMENTS, *encoded[begin : begin + _AT_ONCE]),
        )
        for name, encoded in sets.items()
        for begin in range(0, len(encoded), _AT_ONCE)
    ]


def _encoded(element: Element, *, with_target: bool) -> list[bytes]:
    """One element, but two for an interval of a key with one part: where it begins, and where it has ended."""
    body = nested(_ELEMENT_KEY, attribute(_DATA_VALUE, low(element.key)))
    if element.target and with_target:
        body += nested(_ELEMENT_DATA, attribute(_DATA_VALUE, low(element.target)))
    if not is_interval(element.key):
        return [nested(_LIST_ELEMENT, body)]
    last = high(element.key)
    if len(element.key) > 1:
        return [nested(_LIST_ELEMENT, body, nested(_ELEMENT_KEY_END, attribute(_DATA_VALUE, last)))]
    if last == b"\xff" * len(last):  # nothing comes after: the kernel has it go on to the end
        return [nested(_LIST_ELEMENT, body)]
    after = (int.from_bytes(last, "big") + 1).to_bytes(len(last), "big")
    end = nested(_ELEMENT_KEY, attribute(_DATA_VALUE, after)) + attribute(_ELEMENT_FLAGS, _INTERVAL_END)
    return [nested(_LIST_ELEMENT, body), nested(_LIST_ELEMENT, end)]
