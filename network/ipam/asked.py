"""What subnets of a network are asked for: read and checked, with dockerd's texts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_interface, ip_network
from typing import Final

import msgspec

import errdefs
from network.drivers.driver import Pool
from network.ipam.pools import overlap
from network.ipam.subnet import Address, Network, parse_address

_CIDR: Final = re.compile(r"([0-9a-fA-F.:]+)/(0|[1-9][0-9]{0,2})")


class Asked(msgspec.Struct, frozen=True):
    """One subnet. `network` with the address 0.0.0.0 or :: asks for any of that size."""

    network: Network
    ip_range: Network | None
    gateway: Address | None
    aux: Mapping[str, Address]


def read(pools: Sequence[Pool]) -> list[Asked]:
    """Raises InvalidArgument with all that is wrong."""
    problems = [problem for pool in pools for problem in _problems(pool)]
    if problems:
        lines = problems if len(problems) == 1 else [f"* {problem}" for problem in problems]
        raise errdefs.InvalidArgument("\n".join(("invalid network config:", *lines)))
    return [_asked(pool) for pool in pools]


def _asked(pool: Pool) -> Asked:
    aux = {name: parse_address(text) for name, text in pool.aux_addresses.items()}
    return Asked(
        network=ip_network(pool.subnet),
        ip_range=ip_network(pool.ip_range) if pool.ip_range else None,
        gateway=parse_address(pool.gateway),
        aux={name: address for name, address in aux.items() if address is not None},
    )


def _problems(pool: Pool) -> Iterator[str]:
    subnet = _cidr(pool.subnet)
    if subnet is None:
        yield f"invalid subnet {pool.subnet}: invalid CIDR block notation"
        return
    shown = ip_interface(pool.subnet).with_prefixlen
    if not _exact(pool.subnet):
        yield f"invalid subnet {shown}: it should be {subnet}"
    if pool.ip_range:
        yield from (
            f"invalid ip-range {pool.ip_range}: {wrong}" for wrong in _range(pool.ip_range, subnet, shown)
        )
    if pool.gateway and (wrong := _address(pool.gateway, subnet, shown)):
        yield f"invalid gateway {pool.gateway}: {wrong}"
    for name, text in sorted(pool.aux_addresses.items()):
        if wrong := _address(text, subnet, shown):
            yield f"invalid auxiliary address {name}: {wrong}"


def _range(text: str, subnet: Network, shown: str) -> Iterator[str]:
    found = _cidr(text)
    if found is None:
        yield "invalid CIDR block notation"
    elif found.version != subnet.version:
        yield f"parent subnet is an IPv{subnet.version} block"
    else:
        if found.prefixlen < subnet.prefixlen:
            yield f"CIDR block is bigger than its parent subnet {shown}"
        if not _exact(text):
            yield f"it should be {found}"
        if not overlap(found, subnet):
            yield f"parent subnet {shown} doesn't contain ip-range"


def _address(text: str, subnet: Network, shown: str) -> str:
    """What is wrong with an address of a subnet, "" when nothing is."""
    found = parse_address(text)
    if found is None:
        return "invalid address"
    if found.version != subnet.version:
        return f"parent subnet is an IPv{subnet.version} block"
    return "" if found in subnet else f"parent subnet {shown} doesn't contain this address"


def _cidr(text: str) -> Network | None:
    """The block in which the text lies; IPv4 written as IPv6 is none."""
    if not _CIDR.fullmatch(text):
        return None
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        return None
    return None if found.version == 6 and found.network_address.ipv4_mapped else found


def _exact(text: str) -> bool:
    interface = ip_interface(text)
    return interface.ip == interface.network.network_address
