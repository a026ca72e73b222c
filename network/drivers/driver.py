"""The contract of a kind of network.

A driver attaches a sandbox to one network and takes it off again. Its methods block and are called in the network's
worker thread, one at a time, so a driver needs no locks. Addresses are its own business; published ports, the ruleset
and conntrack are not: the controller does those, for what the endpoint says.

Life cycle of an endpoint: `connect` makes it whole or raises and leaves nothing. After a restart of the daemon `adopt`
takes a connected one over without touching its traffic. `disconnect` may be called for one that is half gone, and
twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from network.endpoint import Endpoint, EndpointRequest
from network.sandbox import Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInfo:
    """A network as it is shown. `subnets` in CIDR form, `bridge` "" where there is none."""

    name: str
    id: str
    driver: str
    created: datetime
    scope: str = "local"
    subnets: tuple[str, ...] = ()
    gateway: str = ""
    bridge: str = ""
    internal: bool = False
    enable_ipv6: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)


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
