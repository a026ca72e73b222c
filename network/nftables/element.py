"""Elements of sets and maps as values, in nft's language and in the kernel's bytes. Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final, Literal, NamedTuple

import msgspec

Protocol = Literal["tcp", "udp", "sctp"]
Family = Literal["ipv4", "ipv6"]

NUMBERS: Final = {"tcp": 6, "udp": 17, "sctp": 132}
_BYTES: Final = NUMBERS | {"ipv4": 2, "ipv6": 10}
_NAME_LENGTH: Final = 16


class Interface(msgspec.Struct, frozen=True):
    """The name of an interface, as a part of a key."""

    name: str


Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_NETWORKS: Final = frozenset((IPv4Network, IPv6Network))
Part = Interface | IPv4Address | IPv6Address | IPv4Network | IPv6Network | Protocol | Family | int


class Element(NamedTuple):
    """An element of set or map `of`. A part that is a network makes it an interval; `target` is a map's data."""

    of: str
    key: tuple[Part, ...]
    target: tuple[Part, ...] = ()


@lru_cache(maxsize=1024)
def address(text: str) -> Address:
    """The address; the same few are asked for with each of a thousand ports. Raises ValueError."""
    return ip_address(text)


def text(table: str, elements: Iterable[Element]) -> list[str]:
    """Commands that add elements, one for each set; they fail when a map has one with another target."""
    sets: dict[str, list[str]] = {}
    for each in elements:
        target = f" : {_words(each.target)}" if each.target else ""
        sets.setdefault(each.of, []).append(_words(each.key) + target)
    return [
        f"add element inet {table} {name} {{ {', '.join(sorted(those))} }}"
        for name, those in sorted(sets.items())
    ]


def low(parts: tuple[Part, ...]) -> bytes:
    """The bytes of a key or target, the first of an interval: each part fills registers of four bytes."""
    return b"".join([_FIRST[type(part)](part) for part in parts])


def high(parts: tuple[Part, ...]) -> bytes:
    """The bytes of the last key of an interval."""
    return b"".join(
        [
            part.broadcast_address.packed
            if isinstance(part, IPv4Network | IPv6Network)
            else _FIRST[type(part)](part)
            for part in parts
        ]
    )


def is_interval(parts: tuple[Part, ...]) -> bool:
    """Whether there is a network among the parts."""
    return not _NETWORKS.isdisjoint(map(type, parts))


def _words(parts: tuple[Part, ...]) -> str:
    return " . ".join(f'"{part.name}"' if isinstance(part, Interface) else str(part) for part in parts)


@lru_cache(maxsize=1024)
def _packed(number: int, size: int) -> bytes:
    return number.to_bytes(size, "big")


# By type: a thousand ports have four thousand parts.
_FIRST: Final[dict[type, Callable[[Any], bytes]]] = {
    int: struct.Struct(">Hxx").pack,
    str: {name: struct.pack(">Bxxx", number) for name, number in _BYTES.items()}.__getitem__,
    Interface: lambda part: part.name.encode().ljust(_NAME_LENGTH, b"\0"),
    IPv4Address: lambda part: _packed(int(part), 4),
    IPv6Address: lambda part: _packed(int(part), 16),
    IPv4Network: lambda part: part.network_address.packed,
    IPv6Network: lambda part: part.network_address.packed,
}
