"""Networks as list and inspect show them."""

import ipaddress
from collections.abc import Iterable
from typing import Any

from api.versions import Version
from engine.containers.container import Container
from network.drivers.driver import NetworkInfo


def inspect(info: NetworkInfo, containers: Iterable[Container], version: Version) -> dict[str, Any]:
    """A network, with those of the containers that are attached to it."""
    addressed = [{"Subnet": subnet} for subnet in info.subnets]
    if addressed and info.gateway:
        addressed[0]["Gateway"] = info.gateway
    shown = {
        "Name": info.name,
        "Id": info.id,
        "Created": info.created.isoformat().replace("+00:00", "Z"),
        "Scope": info.scope,
        "Driver": info.driver,
        "EnableIPv4": True,
        "EnableIPv6": info.enable_ipv6,
        "IPAM": {"Driver": "default", "Options": None, "Config": addressed or None},
        "Internal": info.internal,
        "Attachable": False,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Options": info.options,
        "Labels": info.labels,
        "Containers": _attached(info, containers),
    }
    if version.before("1.48"):
        del shown["EnableIPv4"]
    return shown


def summary(info: NetworkInfo, containers: Iterable[Container], version: Version) -> dict[str, Any]:
    """An entry of `GET /networks`. Who is attached is told until 1.27 only, that it is not told until 1.51."""
    shown = inspect(info, containers if version.before("1.28") else (), version)
    if not version.before("1.52"):
        del shown["Containers"]
    return shown


def status(info: NetworkInfo, containers: Iterable[Container]) -> dict[str, Any]:
    """How many addresses of each subnet are taken (gateway, network and broadcast address included) and left."""
    taken = [
        endpoint.ipv4 for each in containers for name, endpoint in each.endpoints.items() if name == info.name
    ]
    subnets = {}
    for text in info.subnets:
        subnet = ipaddress.ip_network(text)
        used = sum(bool(address) and ipaddress.ip_address(address) in subnet for address in taken)
        used += 3 if subnet.version == 4 else 2
        subnets[text] = {"IPsInUse": used, "DynamicIPsAvailable": max(subnet.num_addresses - used, 0)}
    return {"IPAM": {"Subnets": subnets} if subnets else {}}


def _attached(info: NetworkInfo, containers: Iterable[Container]) -> dict[str, Any]:
    shown = {}
    for container in containers:
        endpoint = container.endpoints.get(info.name)
        if endpoint is not None:
            shown[container.id] = {
                "Name": container.name,
                "EndpointID": endpoint.id,
                "MacAddress": endpoint.mac,
                "IPv4Address": f"{endpoint.ipv4}/{endpoint.prefix_len}" if endpoint.ipv4 else "",
                "IPv6Address": f"{endpoint.ipv6}/{endpoint.ipv6_prefix_len}" if endpoint.ipv6 else "",
            }
    return shown
