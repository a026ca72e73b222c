"""Where published ports are held and where they lead, decided from the requests and the endpoints: pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address
from itertools import product
from typing import Final

import msgspec

import errdefs
from network.endpoint import Endpoint
from network.nftables.bridge import Bridge
from network.nftables.element import NUMBERS, Family, Protocol, address
from network.ports import WILDCARD4, WILDCARD6, Group, PortRequest, overlap

_ORDER: Final = ("tcp", "udp", "sctp")


class Side(msgspec.Struct, frozen=True):
    """How one family of host addresses leads to the container: by `endpoint`, to `address`, behind `bridge`.

    `address` is of the other family where a proxy alone can carry it.
    """

    endpoint: Endpoint
    address: str
    bridge: Bridge
    family: Family

    @property
    def routed(self) -> bool:
        """Whether there is no port of the host: the container's own is opened."""
        return self.bridge.mode(self.family) == "routed"


class Sides(msgspec.Struct, frozen=True):
    """`ipv6` is None where the host has no IPv6 or nothing leads from it to the container."""

    ipv4: Side | None = None
    ipv6: Side | None = None

    def of(self, host_ip: str) -> Side | None:
        """The side that a host address belongs to."""
        return self.ipv6 if ":" in host_ip else self.ipv4


def group(requests: Iterable[PortRequest], sides: Sides) -> list[Group]:
    """In Docker's order: exact ports before ranges, by container port, then protocol. Raises InvalidArgument.

    Requests that differ in nothing but the host's address get the same port, those that exclude each other
    a port each.
    """
    groups: dict[tuple[bool, int, int, int, int, int], list[str]] = {}
    for request in map(_checked, requests):
        start, end = request.host_port_start, max(request.host_port_start, request.host_port_end)
        order = (start == 0 or start != end, request.container_port, _ORDER.index(request.proto), start, end)
        addresses = _addresses(request.host_ip, sides)
        turn = 0
        while _collide(groups.get((*order, turn), ()), addresses):
            turn += 1
        groups.setdefault((*order, turn), []).extend(addresses)
    return [
        _group(_ORDER[proto], port, start, end, addresses, sides)
        for (_, port, proto, start, end, _), addresses in sorted(groups.items())
        if addresses
    ]


def _group(proto: Protocol, port: int, start: int, end: int, addresses: Sequence[str], sides: Sides) -> Group:
    ordered = sorted(addresses, key=lambda each: (":" in each, address(each).packed))
    routed = [each for each in ordered if _is_routed(each, sides)]
    held = tuple(each for each in ordered if each not in routed)
    opened = {WILDCARD6 if ":" in each else WILDCARD4 for each in routed}
    return Group(proto, port, start, end, held, tuple(sorted(opened)))


def _collide(some: Iterable[str], others: Iterable[str]) -> bool:
    return any(overlap(one, other) for one, other in product(some, others))


def _is_routed(host_ip: str, sides: Sides) -> bool:
    side = sides.of(host_ip)
    return side is not None and side.routed


def _addresses(host_ip: str, sides: Sides) -> list[str]:
    """The addresses of the host that a request means: without one, what the network binds to, else all."""
    if host_ip:
        return [host_ip] if sides.of(host_ip) is not None else []
    found = []
    for side, wildcard in ((sides.ipv4, WILDCARD4), (sides.ipv6, WILDCARD6)):
        if side is None:
            continue
        binding = side.bridge.host_binding
        if binding in ("", WILDCARD4):
            found.append(wildcard)
        elif (":" in binding) == (":" in wildcard):
            found.append(binding)
    return found


def _checked(request: PortRequest) -> PortRequest:
    """The request with its address in canonical form. Raises InvalidArgument."""
    if request.proto not in NUMBERS:
        raise errdefs.InvalidArgument(f"invalid proto: {request.proto}")
    numbers = (request.container_port, request.host_port_start, request.host_port_end)
    if not 0 < request.container_port <= 65535 or any(not 0 <= number <= 65535 for number in numbers):
        raise errdefs.InvalidArgument(
            f"invalid port in {request.container_port}/{request.proto}: 1 to 65535 are ports"
        )
    if not request.host_ip:
        return request
    try:
        host = address(request.host_ip)
    except ValueError:
        raise errdefs.InvalidArgument(f"invalid host IP address: {request.host_ip}") from None
    if isinstance(host, IPv6Address) and host.ipv4_mapped is not None:
        return msgspec.structs.replace(request, host_ip=str(host.ipv4_mapped))
    return msgspec.structs.replace(request, host_ip=str(host))
