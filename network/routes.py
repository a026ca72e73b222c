"""Which of a sandbox's endpoints lead out of it, and the default routes that say so."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import NamedTuple

from network import netlink, netns
from network.endpoint import Endpoint
from network.netlink import Rtnetlink


class Gateways(NamedTuple):
    """The endpoints that lead out, by IPv4 and by IPv6; often the same one."""

    ipv4: Endpoint | None = None
    ipv6: Endpoint | None = None


def choose(endpoints: Iterable[Endpoint]) -> Gateways:
    """Docker's choice: by priority, then those that lead out by both IPv4 and IPv6, then by the network's name."""
    ranked = sorted(endpoints, key=_rank)
    return Gateways(
        next((each for each in ranked if each.gateway), None),
        next((each for each in ranked if each.ipv6_gateway), None),
    )


def _rank(endpoint: Endpoint) -> tuple[int, int, str]:
    leads = bool(endpoint.gateway) + bool(endpoint.ipv6_gateway)
    return -endpoint.gateway_priority, -leads, endpoint.network


def follow(fd: int, before: Gateways, after: Gateways) -> None:
    """Let the default routes of the namespace `fd` lead by `after`. Blocks. Raises OSError.

    Where nothing leads out any more, nothing is done: the route goes with its interface.
    """
    gateways = []
    if after.ipv4 is not None and after.ipv4 != before.ipv4:
        gateways.append((after.ipv4.interface, after.ipv4.gateway))
    if after.ipv6 is not None and after.ipv6 != before.ipv6:
        gateways.append((after.ipv6.interface, after.ipv6.ipv6_gateway))
    if gateways:
        netns.inside(fd, lambda: _set_defaults(gateways))


def _set_defaults(gateways: Iterable[tuple[str, str]]) -> None:
    with Rtnetlink() as rtnl:
        rtnl.batch(
            [
                (
                    netlink.RTM_NEWROUTE,
                    netlink.REPLACE,
                    netlink.default_route(socket.if_nametoindex(interface), gateway),
                )
                for interface, gateway in gateways
            ]
        )
