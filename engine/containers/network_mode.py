"""Whether what a create request says of the network fits the network's mode: pure, with Docker's texts.

What a container shares with another (its host name, ports, resolver) it cannot choose for itself, and the networks
that are always there give addresses and names as they like.
"""

import ipaddress
import re
from collections.abc import Mapping

import errdefs
from engine.containers import interface_sysctls
from engine.containers.config import ContainerConfig, EndpointConfig, EndpointIPAM, HostConfig

SHARED = "container:"
PREDEFINED = frozenset({"bridge", "host", "none"})
_MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")


def verify_network_mode(config: ContainerConfig, host: HostConfig) -> None:
    """Raise InvalidArgument for the first conflict. `config` is the request's own, without the image's."""
    if host.network_mode.startswith(SHARED):
        _verify_shared(config, host)
    _refuse(host.uts_mode == "host" and config.hostname, "hostname and the UTS mode")


def _verify_shared(config: ContainerConfig, host: HostConfig) -> None:
    if host.network_mode == SHARED:
        raise errdefs.InvalidArgument("Invalid network mode: invalid container format container:<name|id>")
    _refuse(config.hostname, "hostname and the network mode")
    _refuse(host.dns, "dns and the network mode")
    _refuse(host.extra_hosts, "custom host-to-IP mapping and the network mode")
    published = host.port_bindings or host.publish_all_ports
    _refuse(published, "port publishing and the container type network mode")
    _refuse(config.exposed_ports, "port exposing and the container type network mode")


def _refuse(condition: object, what: str) -> None:
    if condition:
        raise errdefs.InvalidArgument(f"conflicting options: {what}")


def verify_endpoints(endpoints: Mapping[str, EndpointConfig]) -> None:
    """Raise InvalidArgument for an endpoint that asks for what its network cannot give."""
    for network, endpoint in endpoints.items():
        prefix = f"invalid config for network {network}: "
        if wrong := _faults(network, endpoint):
            lines = wrong if len(wrong) == 1 else [f"* {each}" for each in wrong]
            raise errdefs.InvalidArgument("\n".join([prefix + "invalid endpoint settings:", *lines]))
        if endpoint.mac_address and not _MAC.fullmatch(endpoint.mac_address):
            raise errdefs.InvalidArgument(f"{prefix}invalid MAC address {endpoint.mac_address}")


def _faults(network: str, endpoint: EndpointConfig) -> list[str]:
    predefined = network in PREDEFINED
    addresses = endpoint.ipam_config or EndpointIPAM()
    asked = addresses.ipv4_address or addresses.ipv6_address
    found = []
    if predefined and asked:
        found.append("user specified IP address is supported on user defined networks only")
    if predefined and endpoint.aliases:
        found.append("network-scoped alias is supported only for containers in user defined networks")
    found += _bad_addresses(addresses)
    if predefined and asked:
        found.append(
            "user specified IP address is supported only when connecting to networks with user configured subnets"
        )
    found += interface_sysctls.faults(endpoint)
    return found


def _bad_addresses(addresses: EndpointIPAM) -> list[str]:
    found = []
    if addresses.ipv4_address and not _is_address(addresses.ipv4_address, 4):
        found.append(f"invalid IPv4 address: {addresses.ipv4_address}")
    if addresses.ipv6_address and not _is_address(addresses.ipv6_address, 6):
        found.append(f"invalid IPv6 address: {addresses.ipv6_address}")
    found += [
        f"invalid link-local IP address: {each}"
        for each in addresses.link_local_ips or ()
        if not (_is_address(each, 4) or _is_address(each, 6))
    ]
    return found


def _is_address(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False
