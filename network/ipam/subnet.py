"""The addresses of one subnet. Pure, in memory, and of any size: only what is taken is kept."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import errdefs

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


class Subnet:
    """Which addresses are taken. Chosen ones come from `ip_range`, the lowest free one first, as Docker does.

    An IPv4 subnet of four or more keeps its network and broadcast addresses back, an IPv6 one its first address.
    `fixed` (the gateway, auxiliary addresses) are never given, nor freed. Addresses are of the subnet's family.
    """

    def __init__(
        self, subnet: Network, ip_range: Network | None = None, fixed: Iterable[Address] = ()
    ) -> None:
        self.network = subnet
        self._range = ip_range or subnet
        self._last = int(self._range.broadcast_address)
        self._fixed = {*_kept_back(subnet), *map(int, fixed)}
        self._taken = set(self._fixed)
        self._lowest = int(self._range.network_address)  # nothing below it is free in the range

    def __contains__(self, address: Address) -> bool:
        return address in self.network

    def take_any(self) -> Address | None:
        """Take the lowest free address of the range; None when none is free."""
        number = self._lowest
        while number in self._taken:
            number += 1
        self._lowest = number
        if number > self._last:
            return None
        return self._take(number)

    def take(self, wanted: Address) -> Address:
        """Take this address of the subnet; it may lie outside the range. Raises Forbidden when it is taken."""
        if int(wanted) in self._taken:
            raise errdefs.Forbidden("Address already in use")
        return self._take(int(wanted))

    def free(self, address: Address) -> None:
        """Give an address back; one that is not taken, or is fixed, is no failure."""
        number = int(address)
        if number in self._fixed or number not in self._taken:
            return
        self._taken.discard(number)
        if number >= int(self._range.network_address):
            self._lowest = min(self._lowest, number)

    @property
    def in_use(self) -> int:
        """How many addresses are taken, fixed and kept back ones too."""
        return len(self._taken)

    @property
    def available(self) -> int:
        """How many addresses of the range are free."""
        first = int(self._range.network_address)
        return self._range.num_addresses - sum(first <= each <= self._last for each in self._taken)

    def _take(self, number: int) -> Address:
        self._taken.add(number)
        return IPv4Address(number) if self.network.version == 4 else IPv6Address(number)


def _kept_back(subnet: Network) -> set[int]:
    """A /31 is a link between two (RFC 3021); the first IPv6 address is the routers' (RFC 4291)."""
    first, last = int(subnet.network_address), int(subnet.broadcast_address)
    if subnet.version == 6:
        return {first}
    return {first, last} if last - first > 1 else set()


def parse_address(text: str) -> Address | None:
    """The address, None for what is none; one with a zone is none."""
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None
