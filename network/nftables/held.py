"""What the sets and maps of a table hold, as the kernel tells, and what they are to hold: two values that compare.

Reading a thousand elements takes 5 ms, saying them again 60: libnftables parses the text, the kernel tells everybody
who watches of each, and iptables is asked whether it still has its rule.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

from network.netlink import attributes
from network.nftables.element import Element, high, is_interval, low
from network.nftables.transaction import GET_ELEMENT, Transactions, text

Entry = tuple[bytes, bytes, bytes]
"""The key, the last key of an interval of many parts (or _END), a map's data."""
Held = dict[str, frozenset[Entry]]
"""By the name of the set or map."""

_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_KEY, _DATA, _FLAGS, _KEY_END = 1, 2, 3, 10
_INTERVAL_END: Final = 1
_LENGTH: Final = struct.Struct("=H").unpack_from
_END: Final = b"end"  # in place of the last key: an interval of a key with one part has ended here


def read(transactions: Transactions, table: str, sets: Iterable[str]) -> Held:
    """What those sets and maps hold. Raises NftError when one is not there, or all changes while it is read."""
    return {name: _settled(_present(transactions, table, name)) for name in sets}


def of(elements: Iterable[Element], sets: Iterable[str]) -> Held:
    """What those sets and maps hold when these are all elements of them."""
    entries: dict[str, list[Entry]] = {name: [] for name in sets}
    for each in elements:
        if is_interval(each.key):
            entries[each.of] += _interval(each)
        else:
            entries[each.of].append((low(each.key), b"", low(each.target)))
    return {name: _settled(those) for name, those in entries.items()}


def _interval(element: Element) -> Iterator[Entry]:
    first, target = low(element.key), low(element.target)
    if len(element.key) > 1:
        yield first, high(element.key), target
    else:
        yield first, b"", target
        after = int.from_bytes(high(element.key), "big") + 1
        yield after.to_bytes(len(first) + 1, "big")[1:], _END, b""


def _present(transactions: Transactions, table: str, name: str) -> Iterator[Entry]:
    for message in transactions.dump(GET_ELEMENT, text(_LIST_TABLE, table) + text(_LIST_SET, name)):
        for kind, listed in attributes(message):
            if kind == _LIST_ELEMENTS:
                for _, element in attributes(listed):
                    yield _entry(element)


def _entry(element: bytes) -> Entry:
    found = dict(attributes(element))
    key = _value(found[_KEY])
    if _FLAGS in found and found[_FLAGS][3] & _INTERVAL_END:
        return key, _END, b""
    return key, _value(found.get(_KEY_END, b"")), _value(found.get(_DATA, b""))


def _value(nested: bytes) -> bytes:
    """The data of a key or target: the one attribute in it."""
    return nested[4 : _LENGTH(nested)[0]] if nested else b""


def _settled(entries: Iterable[Entry]) -> frozenset[Entry]:
    """Without ends that say nothing: where the next interval begins, and before the first; nft writes them or not."""
    every = frozenset(entries)
    ends = {each for each in every if each[1] == _END}
    if not ends:
        return every
    begins = {key for key, last, _ in every if last != _END}
    return every - {each for each in ends if each[0] in begins or not any(each[0])}
