"""The addresses of one subnet: the lowest free one is given, as Docker does."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv4Network

import errdefs


class Addresses:
    """Which addresses of a subnet are taken; network, broadcast and gateway always are. Pure, in memory."""

    def __init__(self, subnet: IPv4Network, gateway: IPv4Address, network: str) -> None:
        self._subnet = subnet
        self._network = network
        self._first = int(subnet.network_address)
        self._last = int(subnet.broadcast_address)
        self._fixed = {self._first, self._last, int(gateway)}
        self._taken = set(self._fixed)
        self._lowest = self._first  # nothing below is free

    def take(self, wanted: str | None = None) -> str:
        """Take the wanted address, else the lowest free one.

        Raises Forbidden when it is taken, InvalidArgument when it is not of this subnet, Conflict when none is free.
        """
        if wanted is not None:
            return self._take_wanted(wanted)
        for number in range(self._lowest, self._last):
            if number not in self._taken:
                self._taken.add(number)
                self._lowest = number + 1
                return str(IPv4Address(number))
        raise errdefs.Conflict(
            f"no available IPv4 addresses on this network's address pools: {self._network}"
        )

    def free(self, address: str) -> None:
        """Give an address back; one that is not taken, or never was ours, is no failure."""
        number = int(IPv4Address(address))
        if number in self._fixed or number not in self._taken:
            return
        self._taken.discard(number)
        self._lowest = min(self._lowest, number)

    def _take_wanted(self, wanted: str) -> str:
        try:
            address = IPv4Address(wanted)
        except AddressValueError:
            raise errdefs.InvalidArgument(f"invalid IPv4 address: {wanted}") from None
        if address not in self._subnet:
            raise errdefs.InvalidArgument(
                f"invalid address {wanted}: it does not belong to subnet {self._subnet}"
            )
        if int(address) in self._taken:
            raise errdefs.Forbidden("Address already in use")
        self._taken.add(int(address))
        return str(address)
