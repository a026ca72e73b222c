"""What a sandbox's attachment to a network is asked to be, and what it became."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

import msgspec

import errdefs
from network.ports import PortRequest

INTERFACE = "eth0"
_MAC: Final = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_MULTICAST: Final = 1
_NO_MAC: Final = "00:00:00:00:00:00"


class EndpointRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Attach a container to a network. Addresses are wishes; without them the driver chooses.

    `network` is the name. `names` are what other containers of the network may ask the embedded DNS for, the first
    one being the container's own name; `links` are (alias, name) pairs that this container alone may ask for. The
    endpoint with the highest `gateway_priority` gives the default route. `sysctls` hold IFNAME for the interface.
    `exposed` (protocol, port) and `published` are told to plugins, who publish ports themselves.
    """

    network: str
    container_id: str
    endpoint_name: str
    ipv4: str | None = None
    ipv6: str | None = None
    link_local: tuple[str, ...] = ()
    mac: str | None = None
    names: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    gateway_priority: int = 0
    options: Mapping[str, str] = msgspec.field(default_factory=dict)
    sysctls: Mapping[str, str] = msgspec.field(default_factory=dict)
    exposed: tuple[tuple[str, int], ...] = ()
    published: tuple[PortRequest, ...] = ()


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An attachment, as it is stored and shown: "" and 0 where the network gives no such thing (host, none).

    `dns` holds the nameservers of the host at that time, for the container's resolv.conf. `interface` is the name
    inside the sandbox; `source` that on the host of one which a plugin made, and gets back. `on_link`: the interface
    itself leads out, and no gateway.
    """

    id: str
    name: str
    container_id: str
    sandbox_id: str
    network_id: str
    network: str
    interface: str = INTERFACE
    source: str = ""
    ipv4: str = ""
    prefix_len: int = 0
    gateway: str = ""
    ipv6: str = ""
    ipv6_prefix_len: int = 0
    ipv6_gateway: str = ""
    on_link: bool = False
    link_local: tuple[str, ...] = ()
    mac: str = ""
    names: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    gateway_priority: int = 0
    dns: tuple[str, ...] = ()

    @property
    def leads_out4(self) -> bool:
        """Whether a default route can lead by it."""
        return bool(self.gateway) or (self.on_link and bool(self.ipv4))

    @property
    def leads_out6(self) -> bool:
        """The same for IPv6."""
        return bool(self.ipv6_gateway) or (self.on_link and bool(self.ipv6))


def new_id() -> str:
    """A random id of 64 hex digits, as sandboxes and endpoints have."""
    return secrets.token_hex(32)


def verify_mac(mac: str | None) -> None:
    """Pass if an interface can have it, or nothing is asked for. Raises InvalidArgument."""
    if mac is None:
        return
    if not _MAC.fullmatch(mac) or int(mac[:2], 16) & _MULTICAST or mac == _NO_MAC:
        raise errdefs.InvalidArgument(f"invalid MAC address: {mac}")


def mac_of(address: str) -> str:
    """The MAC address that Docker gives to a container by its IPv4 address: caches of neighbours stay right on reuse.

    With IPv6 alone it is made of the end of that.
    """
    return "02:42:" + ip_address(address).packed[-4:].hex(":")
