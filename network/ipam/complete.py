"""From the subnets that a network asks for to those that it gets. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import ip_network
from typing import Final

import msgspec

import errdefs
from network.drivers.driver import Pool
from network.ipam import asked, pools
from network.ipam.asked import Asked
from network.ipam.pools import AddressPool
from network.ipam.subnet import Address, Network, Subnet

_NAMED: Final = 5
_OVERLAP: Final = "invalid pool request: Pool overlaps with other one on this address space"


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """What stands against a subnet: the networks (name, subnets in CIDR form), and what the host needs."""

    networks: Sequence[tuple[str, Collection[str]]]
    routes: Collection[Network] = ()
    nameservers: Collection[Address] = ()


def complete(
    wanted: Sequence[Pool],
    host: Host,
    default_pools: Sequence[AddressPool],
    *,
    enable_ipv4: bool = True,
    enable_ipv6: bool = False,
) -> tuple[Pool, ...]:
    """The subnets of a new network, IPv4 first, each with its gateway; where none of an enabled family is asked for,
    one of the default pools. Those of a family that is not enabled are passed over, as in Docker.

    Subnets that are asked for may overlap the host's routes; chosen ones do not. Raises InvalidArgument with all that
    is wrong, Forbidden when a subnet overlaps another network's, Conflict when no default one is free.
    """
    enabled = [version for version, on in ((4, enable_ipv4), (6, enable_ipv6)) if on]
    read = [
        each
        for each in asked.read(_of_use(wanted, enable_ipv6=enable_ipv6))
        if each.network.version in enabled
    ]
    missing = [version for version in enabled if not any(each.network.version == version for each in read)]
    read += [
        Asked(ip_network("0.0.0.0/0" if version == 4 else "::/0"), None, None, {}) for version in missing
    ]
    taken = _Taken(host)
    for each in read:
        if not _is_size(each):
            taken.add(each.network)
    settled = [_settled(each, taken, default_pools) for each in read]
    return tuple(_pool(each) for each in sorted(settled, key=lambda each: each.network.version))


def _of_use(wanted: Sequence[Pool], *, enable_ipv6: bool) -> list[Pool]:
    """What is asked for IPv6 is not even read without IPv6."""
    return [pool for pool in wanted if enable_ipv6 or ":" not in pool.subnet]


class _Taken:
    """The subnets of all networks, with this one's."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._held = [(name, ip_network(text)) for name, texts in host.networks for text in texts]

    def add(self, subnet: Network) -> None:
        """Raises Forbidden naming the network whose subnet it overlaps."""
        for name, other in self._held:
            if pools.overlap(subnet, other):
                holder = f"network {name}" if name else "the same request"
                raise errdefs.Forbidden(f"{_OVERLAP}: subnet {subnet} overlaps with {other} of {holder}")
        self._held.append(("", subnet))

    def choose(self, version: int, candidates: Sequence[AddressPool]) -> Network:
        """Take a subnet from the pools. Raises Conflict."""
        reserved = pools.reserved(self._host.routes, self._host.nameservers)
        found = pools.first_free(candidates, [*reserved, *(each for _, each in self._held)])
        if found is None:
            raise errdefs.Conflict(self._exhausted(version, candidates))
        self._held.append(("", found))
        return found

    def _exhausted(self, version: int, candidates: Sequence[AddressPool]) -> str:
        holders = sorted(
            {
                name
                for name, each in self._held
                if name and any(pools.overlap(each, pool.base) for pool in candidates)
            }
        )
        more = f" and {len(holders) - _NAMED} more" if len(holders) > _NAMED else ""
        held = f"{_count(len(holders))} ({', '.join(holders[:_NAMED])}{more})" if holders else "no network"
        return (
            f"{_none_free(version)}: all of {'; '.join(map(str, candidates))} is held by {held} or is needed by"
            " routes and nameservers of the host. Remove networks that are not in use (docker network prune), name a"
            ' free subnet (--subnet), or give more in "default-address-pools" of daemon.json'
        )


def _none_free(version: int) -> str:
    return (
        f"could not find an available, non-overlapping IPv{version} address pool among the defaults to assign to the"
        " network"
    )


def _count(number: int) -> str:
    return "1 network" if number == 1 else f"{number} networks"


def _is_size(each: Asked) -> bool:
    """It asks for a size and not for a place: 0.0.0.0/24, ::/64, and /0 for any size."""
    return each.network.network_address.is_unspecified


def _settled(each: Asked, taken: _Taken, default_pools: Sequence[AddressPool]) -> Asked:
    if not _is_size(each):
        return each
    if each.ip_range or each.gateway or each.aux:
        raise errdefs.InvalidArgument(
            f"invalid address pool: {each.network} asks for any subnet of that size, so it can have no ip-range,"
            " gateway or auxiliary address"
        )
    version, size = each.network.version, each.network.prefixlen
    candidates = [
        AddressPool(pool.base, size or pool.size)
        for pool in default_pools
        if pool.base.version == version and pool.base.prefixlen <= (size or pool.size)
    ]
    if not candidates:
        of_size = f" of /{size}" if size else ""
        raise errdefs.InvalidArgument(
            f"invalid address pool: no default address pool has IPv{version} subnets{of_size}"
        )
    return msgspec.structs.replace(each, network=taken.choose(version, candidates))


def _pool(each: Asked) -> Pool:
    subnet = Subnet(each.network, each.ip_range)
    gateway = _gateway(subnet, each.gateway)
    for name, address in sorted(each.aux.items()):
        _reserve(subnet, address, f"failed to allocate secondary ip address ({name}:{address})")
    return Pool(
        subnet=str(each.network),
        ip_range=str(each.ip_range or ""),
        gateway=str(gateway),
        aux_addresses={name: str(address) for name, address in each.aux.items()},
    )


def _gateway(subnet: Subnet, wanted: Address | None) -> Address:
    if wanted is not None:
        return _reserve(subnet, wanted, f"failed to allocate gateway ({wanted})")
    chosen = subnet.take_any()
    if chosen is None:
        raise errdefs.InvalidArgument("failed to allocate gateway (): no available addresses on this pool")
    return chosen


def _reserve(subnet: Subnet, address: Address, failure: str) -> Address:
    try:
        return subnet.take(address)
    except errdefs.Forbidden as error:
        raise errdefs.InvalidArgument(f"{failure}: {error.message}") from error
