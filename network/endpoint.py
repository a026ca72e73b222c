"""What a sandbox's attachment to a network is asked to be, and what it became."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from ipaddress import IPv4Address

INTERFACE = "eth0"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRequest:
    """Attach a container to a network. `ipv4` and `mac` are wishes; without them the driver chooses."""

    network: str
    container_id: str
    endpoint_name: str
    ipv4: str | None = None
    mac: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An attachment, as it is stored and shown: "" and 0 where the network gives no such thing (host, none).

    `dns` holds the nameservers of the host at that time, for the container's resolv.conf.
    """

    id: str
    name: str
    container_id: str
    sandbox_id: str
    network_id: str
    network: str
    ipv4: str = ""
    prefix_len: int = 0
    gateway: str = ""
    ipv6: str = ""
    ipv6_prefix_len: int = 0
    ipv6_gateway: str = ""
    mac: str = ""
    dns: tuple[str, ...] = ()


def new_id() -> str:
    """A random id of 64 hex digits, as sandboxes and endpoints have."""
    return secrets.token_hex(32)


def mac_of(ipv4: str) -> str:
    """The MAC address that Docker gives to a container by its address: caches of neighbours stay right on reuse."""
    return "02:42:" + IPv4Address(ipv4).packed.hex(":")
