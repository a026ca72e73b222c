"""The pools from which networks get subnets when none is asked for: decided from what is in use, touching nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

import msgspec

from network.ipam.subnet import Address, Network

_ULA_SUBNETS: Final = 64


class AddressPool(msgspec.Struct, frozen=True):
    """Subnets of prefix length `size` are cut from `base`."""

    base: Network
    size: int

    def __str__(self) -> str:
        return f"{self.base} in subnets of /{self.size}"


DEFAULT_POOLS: Final = tuple(
    AddressPool(IPv4Network(base), size)
    for base, size in (
        ("172.17.0.0/16", 16),
        ("172.18.0.0/16", 16),
        ("172.19.0.0/16", 16),
        ("172.20.0.0/14", 16),
        ("172.24.0.0/14", 16),
        ("172.28.0.0/14", 16),
        ("192.168.0.0/16", 20),
    )
)
"""Docker's, for networks of one host."""


def complete_pools(configured: Sequence[AddressPool], host: str) -> tuple[AddressPool, ...]:
    """The pools of a daemon: Docker's where none are configured, and one for IPv6 of its own where none has IPv6.

    That one is a unique local prefix (RFC 4193) that the host's name or id `host` decides, the same one each time.
    """
    pools = tuple(configured) or DEFAULT_POOLS
    return pools if any(pool.base.version == 6 for pool in pools) else (*pools, unique_local(host))


def unique_local(host: str) -> AddressPool:
    """A /48 of fd00::/8 whose 40 bits come from a hash, as in Docker."""
    bits = int.from_bytes(hashlib.sha256(host.encode()).digest()[3:8])
    return AddressPool(IPv6Network(((0xFD << 120) | (bits << 80), 48)), _ULA_SUBNETS)


def reserved(routes: Iterable[Network], nameservers: Iterable[Address]) -> list[Network]:
    """What the host itself needs: its routes but for default ones, and its nameservers."""
    return [*(each for each in routes if each.prefixlen > 0), *map(ip_network, nameservers)]


def first_free(pools: Iterable[AddressPool], taken: Collection[Network]) -> Network | None:
    """The first subnet of the pools, in their order, that overlaps nothing taken; None when there is none.

    Takes as many steps as there are subnets taken, however many subnets a pool has.
    """
    for pool in pools:
        spans = sorted(_spans(pool.base, taken))
        first, last = _span(pool.base)
        step = 1 << (pool.base.max_prefixlen - pool.size)
        for start, end in spans:
            if first + step - 1 < start:
                break
            first = max(first, (end // step + 1) * step)
        if first + step - 1 <= last:
            return _network(first, pool)
    return None


def _spans(base: Network, taken: Iterable[Network]) -> Iterator[tuple[int, int]]:
    return (_span(each) for each in taken if each.version == base.version and overlap(each, base))


def _span(network: Network) -> tuple[int, int]:
    return int(network.network_address), int(network.broadcast_address)


def _network(first: int, pool: AddressPool) -> Network:
    if pool.base.version == 4:
        return IPv4Network((first, pool.size))
    return IPv6Network((IPv6Address(first), pool.size))


def overlap(one: Network, other: Network) -> bool:
    """Whether two subnets share an address."""
    if one.version != other.version:
        return False
    (start, end), (first, last) = _span(one), _span(other)
    return start <= last and first <= end
