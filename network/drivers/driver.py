"""The contract of a kind of network.

A `Kind` makes the networks of one kind, a `Driver` is one network: it attaches sandboxes to it and takes them off.
All methods are awaited by the controller on the loop; kernel calls go through `Worker.run`, whose thread takes one
after the other, so what is touched there alone needs no locks. The controller never cancels a call: it lets it end and
then calls the inverse. Calls for one sandbox come one after the other, those for different sandboxes may overlap.

Default routes, published ports and names are not a driver's business: the controller does those, for what the endpoint
says.

Life cycle of an endpoint: `connect` makes it whole or raises and leaves nothing. After a restart of the daemon `adopt`
takes a connected one over without touching its traffic. `disconnect` may be called for one that is half gone, and
twice. A network is alike: `create` makes it whole or leaves nothing, `restore` takes over what is there and makes what
is missing, `remove` may be called for one that is half gone, and twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import msgspec

from network.endpoint import Endpoint, EndpointRequest
from network.interface import Finish
from network.sandbox import Sandbox


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """One subnet of a network (`IPAM.Config` of the API): as asked, each field may be ""; as made, subnet and gateway
    are known. `subnet` and `ip_range` in CIDR form, `aux_addresses` by name. `id` and `space` are what an IPAM plugin
    calls it and where it lies.
    """

    subnet: str = ""
    ip_range: str = ""
    gateway: str = ""
    aux_addresses: Mapping[str, str] = msgspec.field(default_factory=dict)
    id: str = ""
    space: str = ""


class NetworkInfo(msgspec.Struct, frozen=True, kw_only=True):
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
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    options: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def subnets(self) -> tuple[str, ...]:
        """In CIDR form, IPv4 and IPv6."""
        return tuple(pool.subnet for pool in self.pools if pool.subnet)

    @property
    def gateway(self) -> str:
        """The gateway of the first IPv4 subnet, "" without one."""
        return next((pool.gateway for pool in self.pools if "." in pool.gateway), "")


class Driver(Protocol):
    """One network of some kind. `info` is what it became: subnets, gateways and the bridge's name are known."""

    info: NetworkInfo

    async def connect(
        self, sandbox: Sandbox, request: EndpointRequest, interface: str, finish: Finish, /
    ) -> Endpoint:
        """Attach the sandbox by an interface of that name, with its addresses and without a default route.

        `finish` is the rest of the controller's business in the sandbox; a driver that enters it calls that there.

        Raises errdefs (address taken, none free) or SystemFailure; nothing is left then.
        """

    async def adopt(self, sandbox: Sandbox, endpoint: Endpoint, /) -> None:
        """Take over an endpoint that an earlier daemon connected.

        Raises errdefs when its interface is gone or its address is another's; it is to be disconnected all the same.
        """

    async def disconnect(self, sandbox: Sandbox, endpoint: Endpoint, /, *, hot: bool) -> None:
        """Take the endpoint off the network and free its addresses. `hot`: the sandbox lives on without it, so its
        interface goes now. Idempotent.
        """

    async def remove(self) -> None:
        """The network goes, nothing is connected to it any more: its device, its rules, its subnets. Idempotent."""


class Kind(Protocol):
    """Makes the networks of one kind."""

    async def create(self, asked: NetworkInfo, /) -> Driver:
        """A new network; id and name are given, pools may be partial. Raises errdefs in Docker's words."""

    async def restore(self, made: NetworkInfo, /) -> Driver:
        """A network of an earlier daemon, at boot. Raises errdefs when it can be no more."""

    async def sweep(self) -> None:
        """Some time after endpoints were disconnected: remove what the kernel has not removed by itself."""

    async def remove_strays(self) -> list[str]:
        """All networks are restored, all endpoints adopted: remove and name what this instance has besides them."""
