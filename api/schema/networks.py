"""Networks as requests make them, and as list and inspect show them."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Literal

import msgspec

import errdefs
from api.schema.endpoints import EndpointSettings
from api.versions import Version
from engine.containers.config import EndpointConfig
from engine.containers.container import Container
from engine.containers.network_mode import is_long_mac, is_mac
from engine.networks import create
from network.drivers.driver import NetworkInfo, Pool
from network.ipam.leases import Leases


class IPAMConfig(msgspec.Struct, rename="pascal"):
    """One subnet of `CreateOptions`."""

    subnet: str = ""
    ip_range: str = msgspec.field(default="", name="IPRange")
    gateway: str = ""
    auxiliary_addresses: dict[str, str] | None = None


class IPAM(msgspec.Struct, rename="pascal"):
    """The addresses of `CreateOptions`."""

    driver: str = ""
    options: dict[str, str] | None = None
    config: list[IPAMConfig] | None = None


class ConfigReference(msgspec.Struct, rename="pascal"):
    """The config-only network that another one is made from."""

    network: str = ""


class CreateOptions(msgspec.Struct, rename="pascal"):
    """The body of `POST /networks/create`. `CheckDuplicate` is read alone: no two networks have one name."""

    name: str = ""
    check_duplicate: bool = False
    driver: str = ""
    scope: str = ""
    enable_ipv4: bool | None = msgspec.field(default=None, name="EnableIPv4")
    enable_ipv6: bool | None = msgspec.field(default=None, name="EnableIPv6")
    ipam: IPAM | None = msgspec.field(default=None, name="IPAM")
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: ConfigReference | None = None
    options: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class ConnectOptions(msgspec.Struct, rename="pascal"):
    """The body of `POST /networks/{name}/connect`."""

    container: str = ""
    endpoint_config: EndpointSettings | None = None


class DisconnectOptions(msgspec.Struct, rename="pascal"):
    """The body of `POST /networks/{name}/disconnect`."""

    container: str = ""
    force: bool = False


def endpoint(body: ConnectOptions, version: Version) -> EndpointConfig | None:
    """The place that is asked for; its MAC address counts from 1.54 on, but had to be one before."""
    if body.endpoint_config is None:
        return None
    asked = body.endpoint_config.asked()
    if version.before("1.54") and (is_mac(asked.mac_address) or is_long_mac(asked.mac_address)):
        asked.mac_address = ""
    return asked


def request(body: CreateOptions, version: Version) -> create.CreateRequest:
    """What a body asks for; `EnableIPv4` counts from 1.48 on."""
    ipam = body.ipam or IPAM()
    return create.CreateRequest(
        name=body.name,
        driver=body.driver,
        scope=body.scope,
        internal=body.internal,
        attachable=body.attachable,
        ingress=body.ingress,
        config_only=body.config_only,
        config_from=body.config_from.network if body.config_from else "",
        enable_ipv4=None if version.before("1.48") else body.enable_ipv4,
        enable_ipv6=body.enable_ipv6,
        pools=tuple(_pool(each) for each in ipam.config or ()),
        ipam_driver=ipam.driver,
        ipam_options=ipam.options,
        options=body.options or {},
        labels=body.labels or {},
    )


def _pool(asked: IPAMConfig) -> Pool:
    return Pool(
        subnet=asked.subnet,
        ip_range=asked.ip_range,
        gateway=asked.gateway,
        aux_addresses=asked.auxiliary_addresses or {},
    )


def inspect(info: NetworkInfo, containers: Iterable[Container], version: Version) -> dict[str, Any]:
    """A network, with those of the containers that are attached to it."""
    shown = {
        "Name": info.name,
        "Id": info.id,
        "Created": info.created.isoformat().replace("+00:00", "Z"),
        "Scope": info.scope,
        "Driver": info.driver,
        "EnableIPv4": info.enable_ipv4,
        "EnableIPv6": info.enable_ipv6,
        "IPAM": {
            "Driver": info.ipam_driver,
            "Options": info.ipam_options,
            "Config": [_config(pool) for pool in info.pools] or None,
        },
        "Internal": info.internal,
        "Attachable": info.attachable,
        "Ingress": info.ingress,
        "ConfigFrom": {"Network": info.config_from},
        "ConfigOnly": info.config_only,
        "Options": info.options,
        "Labels": info.labels,
        "Containers": _attached(info, containers),
    }
    if version.before("1.48"):
        del shown["EnableIPv4"]
    return shown


def _config(pool: Pool) -> dict[str, Any]:
    shown = {
        "Subnet": pool.subnet,
        "IPRange": pool.ip_range,
        "Gateway": pool.gateway,
        "AuxiliaryAddresses": pool.aux_addresses,
    }
    return {key: value for key, value in shown.items() if value}


def summary(info: NetworkInfo, containers: Iterable[Container], version: Version) -> dict[str, Any]:
    """An entry of `GET /networks`. Who is attached is told until 1.27 only, that it is not told until 1.51."""
    shown = inspect(info, containers if version.before("1.28") else (), version)
    if not version.before("1.52"):
        del shown["Containers"]
    return shown


def status(info: NetworkInfo, containers: Iterable[Container]) -> dict[str, Any]:
    """How many addresses of each subnet are taken (those that are never given included) and how many can be chosen."""
    if info.config_only or info.ipam_driver != "default":
        return {"IPAM": {}}
    leases = Leases(info)
    for container in containers:
        for endpoint in container.endpoints.values():
            if endpoint.network_id == info.id:
                _count(leases, 4, endpoint.ipv4)
                _count(leases, 6, endpoint.ipv6)
    subnets = {
        subnet: {"IPsInUse": usage.in_use, "DynamicIPsAvailable": usage.available}
        for subnet, usage in leases.usage().items()
    }
    return {"IPAM": {"Subnets": subnets} if subnets else {}}


def _count(leases: Leases, version: Literal[4, 6], address: str) -> None:
    with suppress(
        errdefs.WherryError
    ):  # one that two have, or that is of no subnet of the network's, takes none
        if address:
            leases.take(version, address)


def _attached(info: NetworkInfo, containers: Iterable[Container]) -> dict[str, Any]:
    shown = {}
    for container in containers:
        for endpoint in container.endpoints.values():
            if endpoint.network_id == info.id:
                shown[container.id] = {
                    "Name": container.name,
                    "EndpointID": endpoint.id,
                    "MacAddress": endpoint.mac,
                    "IPv4Address": f"{endpoint.ipv4}/{endpoint.prefix_len}" if endpoint.ipv4 else "",
                    "IPv6Address": f"{endpoint.ipv6}/{endpoint.ipv6_prefix_len}" if endpoint.ipv6 else "",
                }
    return shown
