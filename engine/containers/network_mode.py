"""Whether what a create request says of the network fits the network's mode: pure, with Docker's texts.

What a container shares with another (its host name, ports, resolver) it cannot choose for itself, and the networks
that are always there give addresses and names as they like.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping

import errdefs
from engine.containers import interface_sysctls
from engine.containers.config import ContainerConfig, EndpointConfig, EndpointIPAM, HostConfig
from engine.containers.container import Container
from network.drivers.driver import NetworkInfo

SHARED = "container:"
PREDEFINED = frozenset({"bridge", "host", "none"})
_MAC = re.compile(
    r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}|[0-9a-fA-F]{2}(-[0-9a-fA-F]{2}){5}|[0-9a-fA-F]{4}(\.[0-9a-fA-F]{4}){2}"
)
_LONG_MAC = re.compile(
    "|".join(
        f"[0-9a-fA-F]{{{digits}}}({separator}[0-9a-fA-F]{{{digits}}}){{{more}}}"
        for digits, separator, counts in ((2, ":", (7, 19)), (2, "-", (7, 19)), (4, r"\.", (3, 9)))
        for more in counts
    )
)
_LINKS = " can't be used with links. This would result in undefined behavior"
_NO_SUBNETS = (
    "user specified IP address is supported only when connecting to networks with user configured subnets"
)


def mode_of_host(host: HostConfig) -> str:
    """ "bridge", "host", "none", "container:<reference>", or the name, ID or ID prefix of a network."""
    return "bridge" if host.network_mode in ("", "default") else host.network_mode


def mode_of(container: Container) -> str:
    """The mode of a container that exists."""
    return mode_of_host(container.host_config)


def verify_network_mode(config: ContainerConfig, host: HostConfig) -> None:
    """Raise InvalidArgument for the first conflict. `config` is the request's own, without the image's."""
    if host.network_mode.startswith(SHARED):
        _verify_shared(config, host)
    _refuse(host.uts_mode == "host" and config.hostname, "hostname and the UTS mode")
    if host.network_mode == "host" and host.links:
        raise errdefs.InvalidArgument("conflicting options: host type networking" + _LINKS)


def _verify_shared(config: ContainerConfig, host: HostConfig) -> None:
    if host.network_mode == SHARED:
        raise errdefs.InvalidArgument("Invalid network mode: invalid container format container:<name|id>")
    _refuse(config.hostname, "hostname and the network mode")
    if host.links:
        raise errdefs.InvalidArgument("conflicting options: container type network" + _LINKS)
    _refuse(host.dns, "dns and the network mode")
    _refuse(host.extra_hosts, "custom host-to-IP mapping and the network mode")
    published = host.port_bindings or host.publish_all_ports
    _refuse(published, "port publishing and the container type network mode")
    _refuse(config.exposed_ports, "port exposing and the container type network mode")


def _refuse(condition: object, what: str) -> None:
    if condition:
        raise errdefs.InvalidArgument(f"conflicting options: {what}")


def verify_endpoints(
    endpoints: Mapping[str, EndpointConfig], find: Callable[[str], NetworkInfo | None]
) -> None:
    """Raise InvalidArgument for endpoints that ask for what their networks cannot give.

    `find` gives the network of a reference, None for one that is not there (yet): the start will need it.
    """
    wrong = [
        f"invalid config for network {reference}: {problem}"
        for reference, endpoint in endpoints.items()
        if (problem := endpoint_problem(reference, endpoint, find(reference)))
    ]
    if wrong:
        raise errdefs.InvalidArgument(_joined(wrong))


def endpoint_problem(network: str, endpoint: EndpointConfig, info: NetworkInfo | None) -> str:
    """What is wrong with an endpoint's settings, in Docker's words; "" for good ones."""
    if endpoint.mac_address and not is_mac(endpoint.mac_address):
        return f"invalid MAC address {endpoint.mac_address}"
    faults = _faults(network, endpoint, info)
    return f"invalid endpoint settings:\n{_joined(faults)}" if faults else ""


def is_mac(text: str) -> bool:
    """Whether this is a MAC address in one of the forms that Go reads."""
    return _MAC.fullmatch(text) is not None


def is_long_mac(text: str) -> bool:
    """Whether this is a hardware address of 8 or 20 bytes, which Go reads, too; no interface of a container has one."""
    return _LONG_MAC.fullmatch(text) is not None


def canonical_mac(text: str) -> str:
    """A MAC address that passed, as the kernel is told it: "02:42:ac:11:00:02"."""
    digits = re.sub(r"[^0-9a-f]", "", text.lower())
    return ":".join(digits[place : place + 2] for place in range(0, 12, 2))


def _joined(errors: list[str]) -> str:
    """Several errors as Docker lists them; one stands for itself."""
    if len(errors) == 1:
        return errors[0]
    return "\n".join("* " + each.replace("\n", "\n\t") for each in errors)


def _faults(network: str, endpoint: EndpointConfig, info: NetworkInfo | None) -> list[str]:
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
        found.append(_NO_SUBNETS)
    elif info is not None:
        found += _outside(addresses.ipv4_address, 4, info) + _outside(addresses.ipv6_address, 6, info)
    found += interface_sysctls.faults(endpoint)
    return found


def address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address as Go reads it: an IPv4 one in IPv6's form is IPv4. None for one that is none, or that no host has."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if found.is_unspecified or "%" in text:
        return None
    return (found.ipv4_mapped if found.version == 6 else None) or found


def _outside(text: str, version: int, info: NetworkInfo) -> list[str]:
    """What is said of an address that no subnet of the network has."""
    if not text:
        return []
    subnets = [each for each in map(ipaddress.ip_network, info.subnets) if each.version == version]
    if not subnets:
        return [_NO_SUBNETS]
    found = address(text)
    if found is not None and found.version == version and any(found in each for each in subnets):
        return []
    return [f"no configured subnet or ip-range contain the IP address {text}"]


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
    found = address(text)
    return found is not None and found.version == version
