"""A container's place in its networks as inspect and list show it: endpoints, addresses, ports."""

from typing import Any

import msgspec

from api.schema.omission import shape
from api.versions import Version
from engine.containers.config import EndpointConfig
from engine.containers.container import Container
from engine.containers.places import dns_names
from network.endpoint import Endpoint

_PREDEFINED = frozenset({"bridge", "host", "none", "default"})


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a network gave: the fields of an endpoint that is not there are empty."""

    id: str = ""
    network_id: str = ""
    gateway: str = ""
    ipv4: str = ""
    prefix_len: int = 0
    ipv6: str = ""
    ipv6_prefix_len: int = 0
    ipv6_gateway: str = ""
    mac: str = ""


def mode(container: Container) -> str:
    """The network mode by its own name: "bridge" for Docker's "default"."""
    asked = container.host_config.network_mode
    return "bridge" if asked in ("", "default") else asked


def networks(container: Container, version: Version) -> dict[str, Any]:
    """The networks of a container by name."""
    if container.config.network_disabled:
        return {}
    shown = {}
    for name, asked in container.networks.items():
        shown[name] = settings(asked, _given(container, name, asked))
        if name not in _PREDEFINED and name in container.network_ids:
            shown[name]["DNSNames"] = [*dns_names(container, asked.aliases)]
        if version.before("1.48"):
            del shown[name]["GwPriority"]
    return shown


def network_summaries(container: Container, version: Version) -> dict[str, Any]:
    """The networks as a list has them: without what Docker takes to be nobody's business there."""
    shown = networks(container, version)
    for endpoint in shown.values():
        endpoint |= dict.fromkeys(("Aliases", "DNSNames", "DriverOpts", "Links"))
        if endpoint["IPAMConfig"] is not None:
            endpoint["IPAMConfig"].pop("LinkLocalIPs", None)
    return shown


def _given(container: Container, name: str, asked: EndpointConfig) -> Given:
    endpoint = container.endpoints.get(name)
    if endpoint is not None:
        return _of_endpoint(endpoint)
    before = container.network_ids.get(name, "")
    return Given(network_id=before or asked.network_id, mac="" if before else asked.mac_address)


def _of_endpoint(endpoint: Endpoint) -> Given:
    return Given(
        id=endpoint.id,
        network_id=endpoint.network_id,
        gateway=endpoint.gateway,
        ipv4=endpoint.ipv4,
        prefix_len=endpoint.prefix_len,
        ipv6=endpoint.ipv6,
        ipv6_prefix_len=endpoint.ipv6_prefix_len,
        ipv6_gateway=endpoint.ipv6_gateway,
        mac=endpoint.mac,
    )


def settings(asked: EndpointConfig, given: Given) -> dict[str, Any]:
    """Docker's EndpointSettings: what was asked, and what was given."""
    return {
        "IPAMConfig": shape(asked.ipam_config),
        "Links": asked.links,
        "Aliases": asked.aliases,
        "MacAddress": given.mac,
        "DriverOpts": asked.driver_opts,
        "GwPriority": asked.gw_priority,
        "NetworkID": given.network_id,
        "EndpointID": given.id,
        "Gateway": given.gateway,
        "IPAddress": given.ipv4,
        "IPPrefixLen": given.prefix_len,
        "IPv6Gateway": given.ipv6_gateway,
        "GlobalIPv6Address": given.ipv6,
        "GlobalIPv6PrefixLen": given.ipv6_prefix_len,
        "DNSNames": None,
    }


def add_id_aliases(container: Container, shown: dict[str, Any]) -> None:
    """What API before 1.45 has among the aliases in networks of the user's: short ID and hostname."""
    for name, endpoint in shown.items():
        if name not in _PREDEFINED:
            more = (container.id[:12], container.config.hostname)
            endpoint["Aliases"] = [*dict.fromkeys([*(endpoint["Aliases"] or ()), *more])]


def ports(container: Container) -> dict[str, list[dict[str, str]] | None]:
    """Published ports with their host addresses, exposed ones as null; nothing while it has no endpoint."""
    if not container.endpoints:
        return {}
    shown: dict[str, list[dict[str, str]] | None] = dict.fromkeys(container.config.exposed_ports or ())
    for binding in container.ports:
        key = f"{binding.container_port}/{binding.proto}"
        host_port = str(binding.host_port or "")  # none for an opened port of a routed network
        shown[key] = [*(shown.get(key) or []), {"HostIp": binding.host_ip, "HostPort": host_port}]
    return shown


def port_summaries(container: Container) -> list[dict[str, Any]]:
    """The ports as a list has them, ordered by number."""
    summaries: list[dict[str, Any]] = []
    for key, places in ports(container).items():
        number, _, proto = key.partition("/")
        private = int(number.partition("-")[0])
        if not places:
            summaries.append({"PrivatePort": private, "Type": proto or "tcp"})
        summaries += [
            {
                "IP": place["HostIp"],
                "PrivatePort": private,
                "PublicPort": int(place["HostPort"]),
                "Type": proto,
            }
            for place in places or ()
            if place["HostPort"]
        ]
    return sorted(summaries, key=lambda port: (port["PrivatePort"], port["Type"], port.get("IP", "")))
