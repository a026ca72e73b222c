"""Which of a sandbox's endpoints lead out of it, and the default routes that say so."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import NamedTuple

from network import changes, netlink, netns
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
        next((each for each in ranked if each.leads_out4), None),
        next((each for each in ranked if each.leads_out6), None),
    )


def _rank(endpoint: Endpoint) -> tuple[int, int, str]:
    leads = endpoint.leads_out4 + endpoint.leads_out6
    return -endpoint.gateway_priority, -leads, endpoint.network


def follow(rtnl: Rtnetlink, before: Gateways, after: Gateways) -> None:
    """Let the default routes of the namespace of the calling thread lead by `after`. Blocks. Raises OSError.

    Where nothing leads out any more, nothing is done: the route goes with its interface.
    """
    ways = []
    if after.ipv4 is not None and after.ipv4 != before.ipv4:
        ways.append((after.ipv4.interface, socket.AF_INET, after.ipv4.gateway))
    if after.ipv6 is not None and after.ipv6 != before.ipv6:
        ways.append((after.ipv6.interface, socket.AF_INET6, after.ipv6.ipv6_gateway))
    if ways:
        rtnl.batch(
            [
                (
                    netlink.RTM_NEWROUTE,
                    netlink.REPLACE,
                    changes.default_route(socket.if_nametoindex(interface), family, gateway),
                )
                for interface, family, gateway in ways
            ]
        )


def follow_in(fd: int, before: Gateways, after: Gateways) -> None:
    """The same in the namespace `fd`, which nobody enters when nothing changes."""

    def enter() -> None:
        with Rtnetlink() as rtnl:
            follow(rtnl, before, after)

    if after != before:
        netns.inside(fd, enter)
