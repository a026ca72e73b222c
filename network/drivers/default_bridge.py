"""What is configured for the network `bridge`, and what it asks for because of that. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Interface, IPv6Interface, ip_interface, ip_network
from typing import Final

import msgspec

import errdefs
from network.drivers.driver import Pool
from network.ipam.leases import GATEWAY_KEYS

Interface = IPv4Interface | IPv6Interface

MTU: Final = 1500


class DefaultBridge(msgspec.Struct, frozen=True, kw_only=True):
    """dockerd's settings of the default bridge: "" for what is not said.

    `bip` and `bip6` are addresses of the bridge with their prefix, `fixed_cidr` and `fixed_cidr_v6` the ranges of
    containers' addresses, `gateway` and `gateway_v6` the containers' gateways where those are not the bridge itself.
    Ports are published at `host_ip` if nothing else is said.
    """

    bip: str = ""
    bip6: str = ""
    fixed_cidr: str = ""
    fixed_cidr_v6: str = ""
    gateway: str = ""
    gateway_v6: str = ""
    host_ip: str = "0.0.0.0"
    ipv6: bool = False
    icc: bool = True
    masquerade: bool = True
    mtu: int = MTU

    def options(self, bridge: str) -> dict[str, str]:
        """The driver's options, as Docker shows them."""
        return {
            "com.docker.network.bridge.default_bridge": "true",
            "com.docker.network.bridge.enable_icc": str(self.icc).lower(),
            "com.docker.network.bridge.enable_ip_masquerade": str(self.masquerade).lower(),
            "com.docker.network.bridge.host_binding_ipv4": self.host_ip,
            "com.docker.network.bridge.name": bridge,
            "com.docker.network.driver.mtu": str(self.mtu),
        }

    def pools(self, present: Sequence[Interface] = ()) -> list[Pool]:
        """What to ask `network.ipam.complete` for. `present` are the addresses that the bridge has already.

        The subnet is that of `bip`, else of an address that the bridge has, else it is `fixed_cidr`; with none of them
        there is nothing to ask for, and a default pool is taken. Raises InvalidArgument for a gateway without a subnet.
        """
        pools = [_pool(4, self.bip, self.fixed_cidr, self.gateway, present)]
        if self.ipv6:
            pools.append(_pool(6, self.bip6, self.fixed_cidr_v6, self.gateway_v6, present))
        return [pool for pool in pools if pool.subnet]


def _pool(version: int, bip: str, fixed: str, gateway: str, present: Sequence[Interface]) -> Pool:
    cidr = str(ip_network(fixed, strict=False)) if fixed else ""
    address = ip_interface(bip) if bip else _select(version, cidr, present)
    subnet = str(address.network) if address else cidr
    if gateway and not subnet:
        raise errdefs.InvalidArgument(
            f"default-gateway {gateway}: the subnet is not known: give the bridge an address (bip), or a fixed-cidr"
        )
    return Pool(
        subnet=subnet,
        ip_range=cidr if cidr != subnet else "",
        gateway=str(address.ip) if address else "",
        aux_addresses={GATEWAY_KEYS[version]: gateway} if gateway else {},
    )


def _select(version: int, cidr: str, present: Sequence[Interface]) -> Interface | None:
    """The address of the bridge in whose subnet the range lies, or any without a range; no link-local one."""
    for address in present:
        if address.version != version or (version == 6 and address.is_link_local):
            continue
        if not cidr or ip_network(cidr).subnet_of(address.network):  # type: ignore[arg-type]
            return address
    return None
