"""What a bridge network is asked to be by its driver options, with Docker's texts for what cannot be. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv6Network, ip_network
from typing import Final, TypeVar

import msgspec

import errdefs
from network.drivers.driver import NetworkInfo, Pool
from network.ipam.subnet import parse_address
from network.nftables.bridge import Bridge, Mode

T = TypeVar("T")

_BRIDGE: Final = "com.docker.network.bridge."
NAME: Final = _BRIDGE + "name"
_MODES: Final[Mapping[str, Mode]] = {
    "nat": "nat",
    "routed": "routed",
    "nat-unprotected": "nat-unprotected",
    "isolated": "isolated",
}
_TRUE: Final = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE: Final = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_MTUS: Final = range(68, 65536)
_LINK_LOCAL: Final = IPv6Network("fe80::/64")
_NAME: Final = re.compile(r"[^/\s:]{1,15}")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`mtu` 0 is the kernel's default. `inhibit4`: the bridge gets no IPv4 address."""

    name: str = ""
    mtu: int = 0
    icc: bool = True
    masquerade: bool = True
    inhibit4: bool = False
    mode4: Mode = "nat"
    mode6: Mode = "nat"
    host_binding: str = ""
    source4: str = ""
    source6: str = ""
    trusted: tuple[str, ...] = ()

    @classmethod
    def of(cls, info: NetworkInfo) -> Options:
        """Raises InvalidArgument for a value that cannot be; options of others are not looked at."""
        reader = _Reader(info.options)
        options = cls(
            name=info.options.get(NAME, "") or f"br-{info.id[:12]}",
            mtu=reader.read("com.docker.network.driver.mtu", _integer, default=0),
            icc=reader.read(_BRIDGE + "enable_icc", _boolean, default=True),
            masquerade=reader.read(_BRIDGE + "enable_ip_masquerade", _boolean, default=True),
            inhibit4=reader.read(_BRIDGE + "inhibit_ipv4", _boolean, default=False),
            mode4=reader.read(_BRIDGE + "gateway_mode_ipv4", _mode, default="nat"),
            mode6=reader.read(_BRIDGE + "gateway_mode_ipv6", _mode, default="nat"),
            host_binding=reader.read(_BRIDGE + "host_binding_ipv4", _ip, default=""),
            source4=reader.read("com.docker.network.host_ipv4", _ip, default=""),
            source6=reader.read("com.docker.network.host_ipv6", _ip, default=""),
            trusted=reader.read(_BRIDGE + "trusted_host_interfaces", _names, default=()),
        )
        _verify(info, options)
        return options

    def has_gateway(self, version: int, *, internal: bool) -> bool:
        """Whether the network has an address that is its own in this family: for the bridge, or for a router."""
        if version == 4:
            return self.mode4 != "isolated" and not (self.inhibit4 and internal)
        return self.mode6 != "isolated"

    def bridge_has_address(self, version: int) -> bool:
        """Whether the bridge itself has that address."""
        if version == 4:
            return self.mode4 != "isolated" and not self.inhibit4
        return self.mode6 != "isolated"

    def rules(self, info: NetworkInfo, *, direct: bool) -> Bridge:
        """What the rules have to know of the network, as made."""
        return Bridge(
            name=self.name,
            network_id=info.id,
            subnets=tuple(ip_network(text) for text in info.subnets),
            internal=info.internal,
            icc=self.icc,
            masquerade4=self.masquerade,
            masquerade6=self.masquerade,
            mode4=self.mode4,
            mode6=self.mode6,
            source4=self.source4,
            source6=self.source6,
            host_binding="" if self.host_binding == "0.0.0.0" else self.host_binding,
            trusted=self.trusted,
            direct=direct,
        )


def verify_pools(pools: Sequence[Pool], *, internal: bool) -> None:
    """Pass if a bridge can have these subnets. Raises Forbidden, InvalidArgument."""
    for version in (4, 6):
        of_family = [pool for pool in pools if ip_network(pool.subnet).version == version]
        if len(of_family) > 1:
            raise errdefs.Forbidden("bridge driver doesn't support multiple subnets")
        if (
            version == 4
            and internal
            and any("DefaultGatewayIPv4" in pool.aux_addresses for pool in of_family)
        ):
            raise errdefs.InvalidArgument("no gateway can be set on an internal bridge network")
        for pool in of_family if version == 6 else ():
            _verify_ipv6(IPv6Network(pool.subnet))


def _verify_ipv6(subnet: IPv6Network) -> None:
    if subnet.is_multicast:
        raise errdefs.InvalidArgument(f"multicast subnet '{subnet}' is not allowed")
    if subnet != _LINK_LOCAL and subnet.overlaps(_LINK_LOCAL):
        raise errdefs.InvalidArgument(f"'{subnet}' clashes with the Link-Local prefix 'fe80::/64'")


def _verify(info: NetworkInfo, options: Options) -> None:
    if not info.enable_ipv4 and not info.enable_ipv6:
        raise errdefs.InvalidArgument("IPv4 or IPv6 must be enabled")
    if "isolated" in (options.mode4, options.mode6) and not info.internal:
        raise errdefs.InvalidArgument("gateway mode 'isolated' can only be used for an internal network")
    if options.mtu and options.mtu not in _MTUS:
        raise errdefs.InvalidArgument(f"invalid MTU number: {options.mtu}")
    if not _NAME.fullmatch(options.name) or options.name in (".", ".."):
        raise errdefs.InvalidArgument(
            f"invalid bridge name: {options.name}: it has to be the name of an interface"
        )


class _Reader:
    """Values by name, each through a function that raises ValueError with Go's text."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = options

    def read(self, name: str, parse: Callable[[str], T], *, default: T) -> T:
        """Raises InvalidArgument in Docker's words."""
        value = self._options.get(name)
        if value is None:
            return default
        try:
            return parse(value)
        except ValueError as error:
            raise errdefs.InvalidArgument(f"failed to parse {name} value: {value} ({error})") from None


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text, re.ASCII):
        raise ValueError(f'strconv.Atoi: parsing "{text}": invalid syntax')
    if len(text) > 19:
        raise ValueError(f'strconv.Atoi: parsing "{text}": value out of range')
    return int(text)


def _boolean(text: str) -> bool:
    if text not in _TRUE | _FALSE:
        raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return text in _TRUE


def _mode(text: str) -> Mode:
    if text not in _MODES:
        raise ValueError(f"unknown gateway mode {text}")
    return _MODES[text]


def _ip(text: str) -> str:
    address = parse_address(text)
    if address is None:
        raise ValueError("nil ip")
    return str(address)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(":") if name)
