"""Which subnet a network gets: decided here, from what is in use, without touching anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Final

import errdefs

# Docker's default pools for networks of one host, with the prefix length of the subnets cut from them.
DEFAULT_POOLS: Final = (
    (IPv4Network("172.17.0.0/16"), 16),
    (IPv4Network("172.18.0.0/16"), 16),
    (IPv4Network("172.19.0.0/16"), 16),
    (IPv4Network("172.20.0.0/14"), 16),
    (IPv4Network("172.24.0.0/14"), 16),
    (IPv4Network("172.28.0.0/14"), 16),
    (IPv4Network("192.168.0.0/16"), 20),
)


def subnets() -> Iterator[IPv4Network]:
    """All subnets of the default pools, in the order in which they are given."""
    for pool, prefix_len in DEFAULT_POOLS:
        yield from pool.subnets(new_prefix=prefix_len)


def choose(routes: Collection[IPv4Network], nameservers: Collection[IPv4Address] = ()) -> IPv4Network:
    """The first default subnet that no route of the host overlaps and no nameserver of the host lies in.

    A default route overlaps nothing. Raises Conflict when all are in use.
    """
    taken = [route for route in routes if route.prefixlen > 0]
    for subnet in subnets():
        if not any(subnet.overlaps(route) for route in taken) and not any(
            each in subnet for each in nameservers
        ):
            return subnet
    raise errdefs.Conflict(
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"
    )
