"""What settings of the network must look like: pure."""

import ipaddress
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import errdefs
from engine.config import checks
from network.drivers.default_bridge import MTU, DefaultBridge
from network.ipam.pools import AddressPool

_MIN_MTU: Final = 68
_MAX_MTU: Final = 65535


class Settings(Protocol):
    """The values of all settings, by their keys."""

    def __getitem__(self, key: str) -> Any: ...


def default_bridge(settings: Settings) -> DefaultBridge:
    """How the default bridge is to be. InvalidArgument for what cannot be."""
    mtu = settings["mtu"] or MTU
    _require(_MIN_MTU <= mtu <= _MAX_MTU, f"invalid default MTU: {mtu}")
    for key in ("bip", "bip6"):
        _require_host(key, settings[key])
    _require_subnet("fixed-cidr", settings["fixed-cidr"], 4)
    _require_subnet("fixed-cidr-v6", settings["fixed-cidr-v6"], 6)
    for key, version in (("ip", 4), ("default-gateway", 4), ("default-gateway-v6", 6)):
        _require_version(key, settings[key], version)
    _require_together(settings, "bip", "fixed-cidr", "default-gateway")
    _require_together(settings, "bip6", "fixed-cidr-v6", "default-gateway-v6")
    return DefaultBridge(
        bip=settings["bip"],
        bip6=settings["bip6"],
        fixed_cidr=settings["fixed-cidr"],
        fixed_cidr_v6=settings["fixed-cidr-v6"],
        gateway=settings["default-gateway"],
        gateway_v6=settings["default-gateway-v6"],
        host_ip=settings["ip"] or "0.0.0.0",
        ipv6=settings["ipv6"],
        icc=settings["icc"],
        masquerade=settings["ip-masq"],
        mtu=mtu,
    )


def host_gateways(settings: Settings) -> tuple[str, ...]:
    """The addresses that host-gateway stands for, the one of IPv4 first. InvalidArgument for what cannot be."""
    texts = list(settings["host-gateway-ips"])
    if settings["host-gateway-ip"]:
        _require(not texts, "host-gateway-ip and host-gateway-ips cannot both be set")
        texts = [settings["host-gateway-ip"]]
    checks.require_addresses("host-gateway-ips", texts)
    addresses = sorted(map(ipaddress.ip_address, texts), key=lambda each: each.version)
    versions = [each.version for each in addresses]
    for version in (4, 6):
        _require(versions.count(version) < 2, f"host-gateway-ips: only one IPv{version} address can be given")
    return tuple(map(str, addresses))


def pools_of_flags(texts: Sequence[str]) -> tuple[AddressPool, ...]:
    """`base=10.0.0.0/8,size=24`, each; ValueError in dockerd's words."""
    return tuple(_pool_of_flag(text) for text in texts)


def pools_of_file(value: Any) -> tuple[AddressPool, ...]:
    """`[{"base": "10.0.0.0/8", "size": 24}]`; ValueError for others."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise _wrong('must be a list of objects, [{"base": "10.0.0.0/8", "size": 24}]')
    return tuple(_pool_of_file({str(key).lower(): one for key, one in each.items()}) for each in value)


def options_of_flags(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """`driver=name=value`, each: options by driver. ValueError in dockerd's words."""
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        driver, first, option = text.partition("=")
        name, second, value = option.partition("=")
        if not first or not second:
            raise ValueError(f'invalid value "{text}" for map option, should be root-key=key=value')
        found.setdefault(driver, {})[name] = value
    return found


def options_of_file(value: Any) -> dict[str, dict[str, str]]:
    """`{"bridge": {"com.docker.network.driver.mtu": "1400"}}`; ValueError for others."""
    if not isinstance(value, dict) or not all(isinstance(each, dict) for each in value.values()):
        raise _wrong('must be an object of objects, {"bridge": {"name": "value"}}')
    for driver, options in value.items():
        for name, one in options.items():
            if not isinstance(one, str):
                raise _wrong(f'the value of "{name}" of "{driver}" must be a text: "{json.dumps(one)}"')
    return {driver: dict(options) for driver, options in value.items()}


def shown(pools: Sequence[AddressPool]) -> str:
    """Pools as dockerd names those of flags."""
    return ", ".join(f"{pool.base} {pool.size}" for pool in pools)


def _pool_of_flag(text: str) -> AddressPool:
    base, size = "", 0
    for field in text.lower().split(","):
        key, equals, value = field.partition("=")
        if not equals:
            raise ValueError(f"invalid field '{field}' must be a key=value pair")
        if key == "base":
            base = value
        elif key == "size":
            if not value.isascii() or not value.isdecimal():
                raise ValueError(f'invalid size value: "{text}" (must be integer)')
            size = int(value[:9])
        else:
            raise ValueError(f"unexpected key '{key}' in '{field}'")
    return _pool(base, size)


def _pool_of_file(value: Mapping[str, Any]) -> AddressPool:
    base, size = value.get("base", ""), value.get("size", 0)
    if not isinstance(base, str) or not isinstance(size, int) or isinstance(size, bool):
        raise _wrong('must be a list of objects, [{"base": "10.0.0.0/8", "size": 24}]')
    return _pool(base, size)


def _pool(base: str, size: int) -> AddressPool:
    network = _network(base)
    if network is None:
        raise ValueError(f'invalid base prefix "{base}"')
    if not network.prefixlen <= size <= network.max_prefixlen:
        raise ValueError(
            f"invalid size {size} of {base}: it must be from {network.prefixlen} to {network.max_prefixlen}"
        )
    return AddressPool(network, size)


def _wrong(text: str) -> ValueError:
    """What a person wrote is of the wrong type: no TypeError, which is for mistakes of code."""
    return ValueError(text)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


def _require_host(key: str, text: str) -> None:
    """Pass for an address of a host with its prefix."""
    if not text:
        return
    network = _network(text)
    if network is None or network.version != (6 if key == "bip6" else 4):
        raise errdefs.InvalidArgument(f"{key}: invalid CIDR address: {text}")
    _require(
        network.max_prefixlen - network.prefixlen >= 2,
        f"{key}: {text} must be an address with a prefix, up to /{network.max_prefixlen - 2}",
    )
    edges = [network.network_address, *([network.broadcast_address] if network.version == 4 else [])]
    _require(
        ipaddress.ip_interface(text).ip not in edges,
        f"{key}: {text} must be the address of a host, not that of a network",
    )


def _require_subnet(key: str, text: str, version: int) -> None:
    if not text:
        return
    network = _network(text)
    if network is None:
        raise errdefs.InvalidArgument(f"invalid {key}: invalid CIDR address: {text}")
    _require(network.version == version, f"invalid {key}: {key} is not an IPv{version} subnet")


def _require_version(key: str, text: str, version: int) -> None:
    if text and ipaddress.ip_address(text).version != version:
        raise errdefs.InvalidArgument(f"{key}: an IPv{version} address is needed: {text}")


def _require_together(settings: Settings, bip: str, fixed: str, gateway: str) -> None:
    """Pass if range and gateway lie in the subnet of the bridge, where that is said."""
    subnet, inner = _network(settings[bip]), _network(settings[fixed])
    if subnet is not None and inner is not None:
        inside = subnet.prefixlen <= inner.prefixlen and inner.network_address in subnet
        _require(inside, f"{fixed}: {inner} is not inside {subnet}, the subnet of {bip}")
    within = subnet or inner
    if within is not None and settings[gateway]:
        inside = ipaddress.ip_address(settings[gateway]) in within
        _require(inside, f"{gateway}: {settings[gateway]} is not inside {within}")


def _require(good: bool, text: str) -> None:
    if not good:
        raise errdefs.InvalidArgument(text)
