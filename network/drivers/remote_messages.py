"""What a network plugin is told and what it answers, as Docker has it. Pure.

Numbers of protocols are IANA's. Docker's names of options are used as they are.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any, Final

import msgspec

from network.drivers.driver import NetworkInfo, Pool
from network.endpoint import EndpointRequest
from plugins.client import PluginFailure

Message = Mapping[str, Any]

_MAC: Final = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")
_PROTOCOLS: Final = {"tcp": 6, "udp": 17, "sctp": 132}
_GENERIC: Final = "com.docker.network.generic"
_ENABLE_IPV6: Final = "com.docker.network.enable_ipv6"
_INTERNAL: Final = "com.docker.network.internal"
_EXPOSED: Final = "com.docker.network.endpoint.exposedports"
_PORTMAP: Final = "com.docker.network.portmap"
_MACADDRESS: Final = "com.docker.network.endpoint.macaddress"
_SPACES: Final = {"default": "LocalDefault", "null": "null"}
_NEXT_HOP: Final = 0


class Given(msgspec.Struct, frozen=True):
    """What the plugin decided of an endpoint; "" where it left that to us. Addresses in CIDR form."""

    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""


class Route(msgspec.Struct, frozen=True):
    """To a subnet, by a gateway or, when that is "", to what is on the wire."""

    destination: str
    gateway: str


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """How the sandbox is attached: the host's interface `source` becomes `name`, else `prefix` and a number, in it.

    Without `source` there is no interface.
    """

    source: str = ""
    prefix: str = ""
    name: str = ""
    gateway: str = ""
    ipv6_gateway: str = ""
    routes: tuple[Route, ...] = ()


def network(info: NetworkInfo) -> Message:
    """The arguments of CreateNetwork; `info` with complete pools."""
    options: dict[str, Any] = {_ENABLE_IPV6: info.enable_ipv6, _GENERIC: dict(info.options)}
    if info.internal:
        options[_INTERNAL] = True
    space = _SPACES.get(info.ipam_driver, "")
    return {
        "NetworkID": info.id,
        "Options": options,
        "IPv4Data": [_data(pool, space) for pool in info.pools if ":" not in pool.subnet],
        "IPv6Data": [_data(pool, space) for pool in info.pools if ":" in pool.subnet],
    }


def _data(pool: Pool, space: str) -> Message:
    size = pool.subnet.partition("/")[2]
    data: dict[str, Any] = {"AddressSpace": pool.space or space, "Pool": pool.subnet}
    if pool.gateway:
        data["Gateway"] = f"{pool.gateway}/{size}"
    if pool.aux_addresses:
        data["AuxAddresses"] = {name: f"{each}/{size}" for name, each in pool.aux_addresses.items()}
    return data


def endpoint(request: EndpointRequest, *, internal: bool) -> Message:
    """The options of CreateEndpoint. Nobody outside reaches an internal network, so there are no ports."""
    options: dict[str, Any] = dict(request.options)
    if request.mac:
        options[_MACADDRESS] = base64.b64encode(bytes.fromhex(request.mac.replace(":", ""))).decode()
    return options if internal else {**options, **sandbox(request)}


def sandbox(request: EndpointRequest) -> Message:
    """The options of Join: what is exposed and what is to be published."""
    return {
        _EXPOSED: [
            {"Proto": _PROTOCOLS[proto], "Port": port}
            for proto, port in request.exposed
            if proto in _PROTOCOLS
        ],
        _PORTMAP: [
            {
                "Proto": _PROTOCOLS[each.proto],
                "IP": "",
                "Port": each.container_port,
                "HostIP": each.host_ip,
                "HostPort": each.host_port_start,
                "HostPortEnd": each.host_port_end,
            }
            for each in request.published
        ],
    }


def given(answer: Message) -> Given:
    """Of CreateEndpoint. Raises PluginFailure."""
    interface = answer.get("Interface") or {}
    mac = _text(interface, "MacAddress")
    if mac and not _MAC.fullmatch(mac):
        raise PluginFailure(f"address {mac}: invalid MAC address")
    ipv4, ipv6 = _cidr(_text(interface, "Address")), _cidr(_text(interface, "AddressIPv6"))
    return Given(ipv4, ipv6, mac.lower().replace("-", ":"))


def joined(answer: Message) -> Joined:
    """Of Join. Raises PluginFailure."""
    names = answer.get("InterfaceName") or {}
    return Joined(
        source=_text(names, "SrcName"),
        prefix=_text(names, "DstPrefix"),
        name=_text(names, "DstName"),
        gateway=_address(_text(answer, "Gateway"), 'unable to parse Gateway "{}"'),
        ipv6_gateway=_address(_text(answer, "GatewayIPv6"), 'unable to parse GatewayIPv6 "{}"'),
        routes=tuple(_routes(answer.get("StaticRoutes") or [])),
    )


def check(method: str, answer: Message) -> Message:
    """The answer. Raises PluginFailure when it carries an error."""
    if answer.get("Err"):
        raise PluginFailure(f"remote: {answer['Err']}")
    if not all(isinstance(answer.get(key) or {}, dict) for key in ("Interface", "InterfaceName")):
        raise PluginFailure(f"{method}: the plugin's answer has no object where one is expected")
    return answer


def _routes(routes: Any) -> Iterable[Route]:
    if not isinstance(routes, list):
        raise PluginFailure("NetworkDriver.Join: StaticRoutes is not a list")
    for each in routes:
        if not isinstance(each, dict):
            raise PluginFailure("NetworkDriver.Join: a static route is not an object")
        destination = _text(each, "Destination")
        try:
            subnet = str(ip_network(destination, strict=False))
        except ValueError:
            raise PluginFailure(f"invalid CIDR address: {destination}") from None
        hop = _address(_text(each, "NextHop"), "failed to parse nexthop IP {}")
        by_gateway = each.get("RouteType", _NEXT_HOP) == _NEXT_HOP
        yield Route(subnet, hop if by_gateway else "")


def _text(message: Message, key: str) -> str:
    value = message.get(key) or ""
    if not isinstance(value, str):
        raise PluginFailure(f"the plugin's answer has a {key} that is not a text")
    return value


def _address(text: str, failure: str) -> str:
    try:
        return str(ip_address(text)) if text else ""
    except ValueError:
        raise PluginFailure(failure.format(text)) from None


def _cidr(text: str) -> str:
    try:
        if not text or "/" in text:
            return str(ip_interface(text)) if text else ""
    except ValueError:
        pass
    raise PluginFailure(f"invalid CIDR address: {text}")
