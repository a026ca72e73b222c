"""The subnets of a new network: those that it asks for, or ones that are free."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import ip_network
from typing import Final

from network import links, resolvconf
from network.drivers.driver import NetworkInfo, Pool
from network.ipam.complete import Host, complete
from network.ipam.pools import AddressPool
from network.ipam.subnet import Network, parse_address
from network.worker import Worker

_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
DEFAULT_IPAM: Final = ("", "default")


class Subnets:
    """`networks` are all that are there. Those with an IPAM plugin live in an address space of their own."""

    def __init__(
        self,
        worker: Worker,
        networks: Callable[[], Iterable[NetworkInfo]],
        default_pools: Sequence[AddressPool],
    ) -> None:
        self._worker = worker
        self._networks = networks
        self._default_pools = default_pools
        self._coming: dict[str, tuple[str, tuple[str, ...]]] = {}  # by id: name and subnets

    async def complete(self, asked: NetworkInfo) -> tuple[Pool, ...]:
        """The pools of a network that is made: nobody else here gets them until `forget`, and while it is there. Asked
        once more for the same network, it gives what is free by then.

        Raises InvalidArgument, Forbidden for a subnet that another network has, Conflict when none is free.
        """
        routes, text = await self._worker.run(lambda: (list(self._routes()), resolvconf.read_host()[0]))
        nameservers = resolvconf.parse(text).nameservers
        host = Host(
            networks=[*self._held(), *(each for key, each in self._coming.items() if key != asked.id)],
            routes=routes,
            nameservers=[address for each in nameservers if (address := parse_address(each)) is not None],
        )
        pools = complete(
            asked.pools,
            host,
            self._default_pools,
            enable_ipv4=asked.enable_ipv4,
            enable_ipv6=asked.enable_ipv6,
        )
        self._coming[asked.id] = (asked.name, tuple(pool.subnet for pool in pools))
        return pools

    def forget(self, network_id: str) -> None:
        """The network is there, or will not be; idempotent."""
        self._coming.pop(network_id, None)

    def _held(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        for each in self._networks():
            if each.ipam_driver in DEFAULT_IPAM:
                yield each.name, each.subnets

    def _routes(self) -> Iterator[Network]:
        """Where the host sends packets by itself."""
        for family in _FAMILIES:
            for route in links.routes(self._worker.rtnl, family):
                yield ip_network(route.destination)
