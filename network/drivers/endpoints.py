"""The endpoints of networks, made of what was asked for."""

from __future__ import annotations

import msgspec

from network import resolvconf
from network.drivers.driver import NetworkInfo
from network.endpoint import Endpoint, EndpointRequest, new_id
from network.ipam.leases import Leases
from network.sandbox import Sandbox


def bare(info: NetworkInfo, sandbox: Sandbox, request: EndpointRequest) -> Endpoint:
    """Without interface, addresses and names, as the host and none networks give."""
    return Endpoint(
        id=new_id(),
        name=request.endpoint_name,
        container_id=request.container_id,
        sandbox_id=sandbox.id,
        network_id=info.id,
        network=info.name,
    )


def named(info: NetworkInfo, sandbox: Sandbox, request: EndpointRequest, interface: str) -> Endpoint:
    """With an interface and what was asked for, and the host's nameservers, without addresses. Blocks."""
    return msgspec.structs.replace(
        bare(info, sandbox, request),
        interface=interface,
        link_local=request.link_local,
        mac=request.mac or "",
        names=request.names,
        links=request.links,
        gateway_priority=request.gateway_priority,
        dns=tuple(resolvconf.parse(resolvconf.read_host()[0]).nameservers),
    )


def addressed(endpoint: Endpoint, leases: Leases, request: EndpointRequest, *, by_gateway: bool) -> Endpoint:
    """With addresses, which `leases` hold for its id, also after a failure; `by_gateway`: their gateways lead out.

    Raises what `Leases.take` does.
    """
    ipv4 = leases.hold(endpoint.id, 4, request.ipv4)
    ipv6 = leases.hold(endpoint.id, 6, request.ipv6)
    return msgspec.structs.replace(
        endpoint,
        ipv4=ipv4.address,
        prefix_len=ipv4.prefix_len,
        gateway=ipv4.gateway if by_gateway else "",
        ipv6=ipv6.address,
        ipv6_prefix_len=ipv6.prefix_len,
        ipv6_gateway=ipv6.gateway if by_gateway else "",
    )


def hold_again(endpoint: Endpoint, leases: Leases) -> None:
    """Have `leases` hold the addresses of an endpoint of an earlier daemon, but for those that a plugin gave.

    Raises what `Leases.take` does.
    """
    if endpoint.ipv4 and leases.serves(4):
        leases.hold(endpoint.id, 4, endpoint.ipv4)
    if endpoint.ipv6 and leases.serves(6):
        leases.hold(endpoint.id, 6, endpoint.ipv6)
