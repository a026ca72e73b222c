"""The contract of a kind of network.

A driver attaches a sandbox to one network and takes it off again. Its methods block and are called in the network's
worker thread, one at a time, so a driver needs no locks. Addresses are its own business; published ports, the ruleset
and conntrack are not: the controller does those, for what the endpoint says.

Life cycle of an endpoint: `connect` makes it whole or raises and leaves nothing. After a restart of the daemon `adopt`
takes a connected one over without touching its traffic. `disconnect` may be called for one that is half gone, and
twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from network.endpoint import Endpoint, EndpointRequest
from network.sandbox import Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One subnet of a network (`IPAM.Config` of the API): as asked, each field may be ""; as made, subnet and gateway
    are known. `subnet` and `ip_range` in CIDR form, `aux_addresses` by name.
    """

    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    aux_addresses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInfo:
    """A network as it is asked for, stored and shown. `bridge` is its interface on the host, "" where it has none."""

    name: str
    id: str
    driver: str
    created: datetime
    scope: str = "local"
    pools: tuple[Pool, ...] = ()
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] | None = None
    bridge: str = ""
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: str = ""
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def subnets(self) -> tuple[str, ...]:
        """In CIDR form, IPv4 and IPv6."""
        return tuple(pool.subnet for pool in self.pools if pool.subnet)

    @property
    def gateway(self) -> str:
        """The gateway of the first IPv4 subnet, "" without one."""
        return next((pool.gateway for pool in self.pools if "." in pool.gateway), "")


class Driver(Protocol):
    """One network of some kind."""

    info: NetworkInfo

    def connect(self, sandbox: Sandbox, request: EndpointRequest) -> Endpoint:
        """Attach the sandbox. Raises errdefs (address taken, none free) or SystemFailure; nothing is left then."""

    def adopt(self, sandbox: Sandbox, endpoint: Endpoint) -> None:
        """Take over an endpoint that an earlier daemon connected. Raises errdefs when its address is another's."""

    def disconnect(self, endpoint: Endpoint) -> None:
        """Take the endpoint off the network and free its address. Idempotent."""


def bare(info: NetworkInfo, sandbox: Sandbox, request: EndpointRequest, endpoint_id: str) -> Endpoint:
    """An endpoint without addresses, as the host and none networks give."""
    return Endpoint(
        id=endpoint_id,
        name=request.endpoint_name,
        container_id=request.container_id,
        sandbox_id=sandbox.id,
        network_id=info.id,
        network=info.name,
    )
