"""The addresses of one network, over all its subnets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import ip_network
from typing import Final, Literal

import msgspec

import errdefs
from network.drivers.driver import NetworkInfo, Pool
from network.ipam.subnet import Subnet, parse_address

Version = Literal[4, 6]
_MAX_COUNT: Final = (1 << 64) - 1

GATEWAY_KEYS: Final = {4: "DefaultGatewayIPv4", 6: "DefaultGatewayIPv6"}
"""Names of auxiliary addresses that are the gateway of containers, where it is not the network's own, as in Docker."""


class Lease(msgspec.Struct, frozen=True):
    """An address as an endpoint has it, and the way out of its subnet, "" where there is none."""

    address: str
    prefix_len: int
    gateway: str


NONE: Final = Lease("", 0, "")


class Usage(msgspec.Struct, frozen=True):
    """How many addresses of a subnet are taken (with those that are never given), and how many can be chosen yet."""

    in_use: int
    available: int


class Leases:
    """Which addresses of a network's subnets are taken. Pure, in memory; built again from what is stored at boot."""

    def __init__(self, info: NetworkInfo) -> None:
        """`info` as made: its pools are complete."""
        self._shown = f"{info.name} ({info.id})"
        self._subnets = [(_subnet(pool), pool) for pool in info.pools]
        self._held: dict[str, list[str]] = {}

    def serves(self, version: Version) -> bool:
        """Whether the network has a subnet of that family."""
        return any(subnet.network.version == version for subnet, _ in self._subnets)

    def take(self, version: Version, wanted: str | None = None) -> Lease:
        """Take the wanted address, else the lowest free one of the first subnet that has one.

        Raises Forbidden when it is taken, InvalidArgument when it is none or of no subnet, Conflict when none is free.
        """
        if wanted:
            return self._take_wanted(version, wanted)
        for subnet, pool in self._subnets:
            if subnet.network.version == version and (address := subnet.take_any()) is not None:
                return _lease(str(address), pool, subnet)
        raise errdefs.Conflict(
            f"no available IPv{version} addresses on this network's address pools: {self._shown}"
        )

    def free(self, address: str) -> None:
        """Give an address back; "" and one that is not taken are no failure."""
        parsed = parse_address(address)
        for subnet, _ in self._subnets:
            if parsed is not None and parsed in subnet:
                subnet.free(parsed)

    def hold(self, owner: str, version: Version, wanted: str | None = None) -> Lease:
        """Take an address as `take` does, until `release` of the owner; none where there is no subnet and no wish."""
        if not wanted and not self.serves(version):
            return NONE
        lease = self.take(version, wanted)
        self._held.setdefault(owner, []).append(lease.address)
        return lease

    def keep(self, owner: str, addresses: Collection[str]) -> None:
        """Give back what the owner holds, but for these."""
        held = self._held.get(owner, [])
        for address in [each for each in held if each not in addresses]:
            self.free(address)
            held.remove(address)

    def release(self, owner: str) -> None:
        """Give back all that the owner holds. Idempotent."""
        for address in self._held.pop(owner, []):
            self.free(address)

    def usage(self) -> Mapping[str, Usage]:
        """By subnet, in CIDR form; counts end at 2**64-1, as in the API."""
        return {
            str(subnet.network): Usage(min(subnet.in_use, _MAX_COUNT), min(subnet.available, _MAX_COUNT))
            for subnet, _ in self._subnets
        }

    def _take_wanted(self, version: Version, wanted: str) -> Lease:
        address = parse_address(wanted)
        if address is None or address.version != version:
            raise errdefs.InvalidArgument(f"invalid IPv{version} address: {wanted}")
        for subnet, pool in self._subnets:
            if address in subnet:
                return _lease(str(subnet.take(address)), pool, subnet)
        raise errdefs.InvalidArgument(
            f"invalid address {wanted}: It does not belong to any of this network's subnets"
        )


def _subnet(pool: Pool) -> Subnet:
    texts = (pool.gateway, *pool.aux_addresses.values())
    fixed = [address for text in texts if (address := parse_address(text)) is not None]
    return Subnet(ip_network(pool.subnet), ip_network(pool.ip_range) if pool.ip_range else None, fixed)


def _lease(address: str, pool: Pool, subnet: Subnet) -> Lease:
    gateway = pool.aux_addresses.get(GATEWAY_KEYS[subnet.network.version], pool.gateway)
    return Lease(address, subnet.network.prefixlen, gateway)
