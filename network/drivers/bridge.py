"""Networks behind a Linux bridge of the host."""

from __future__ import annotations

import contextlib
import re
import socket
from ipaddress import IPv4Network
from typing import Final

import errdefs
from network import netlink, netns, resolvconf, sysctl
from network.drivers import bridge_device
from network.drivers.bridge_device import Device
from network.drivers.driver import NetworkInfo
from network.drivers.veth import Veths
from network.endpoint import Endpoint, EndpointRequest, mac_of, new_id
from network.ipam.addresses import Addresses
from network.netlink import Rtnetlink
from network.rules import Rules
from network.sandbox import Sandbox
from network.worker import Worker

_IFF_UP: Final = 1
_MAC: Final = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")


class BridgeDriver:
    """One bridge; each endpoint is a pair of interfaces."""

    def __init__(self, worker: Worker, veths: Veths, rules: Rules, device: Device, info: NetworkInfo) -> None:
        self._worker = worker
        self._veths = veths
        self._rules = rules
        self._device = device
        self._taken: dict[str, str] = {}  # endpoint id -> its address
        self._subnet = device.address.network
        self._addresses = Addresses(self._subnet, device.address.ip, info.name)
        self.info = info

    async def connect(self, sandbox: Sandbox, request: EndpointRequest, interface: str) -> Endpoint:
        """A veth pair, with hairpin on its port of the bridge."""
        if request.mac is not None and not _MAC.fullmatch(request.mac):
            raise errdefs.InvalidArgument(f"invalid MAC address: {request.mac}")
        return await self._worker.run(lambda: self._connect(sandbox, request, interface))

    async def adopt(self, sandbox: Sandbox, endpoint: Endpoint) -> None:
        """Take the endpoint's address again and find its port of the bridge from inside."""
        await self._worker.run(lambda: self._adopt(sandbox, endpoint))

    async def disconnect(self, _: Sandbox, endpoint: Endpoint, /, *, hot: bool) -> None:
        """Silence or remove the port of the bridge and free the address."""
        await self._worker.run(lambda: self._disconnect(endpoint, hot=hot))

    async def remove(self) -> None:
        """Remove the bridge when this instance made it, and what the rules say of it."""
        await self._worker.run(self._remove)

    # What follows runs in the worker's thread.

    def _connect(self, sandbox: Sandbox, request: EndpointRequest, interface: str) -> Endpoint:
        endpoint = self._endpoint(sandbox, request, interface)
        try:
            self._veths.plug(endpoint.id, self._device.index, sandbox.fd, interface, endpoint.mac, 0)
            netns.inside(sandbox.fd, lambda: _configure(endpoint))
        except BaseException as error:
            self._disconnect(endpoint, hot=True)
            if isinstance(error, OSError):
                raise errdefs.SystemFailure(
                    f"cannot attach endpoint {endpoint.name} to {self.info.name}: {error.strerror}"
                ) from error
            raise
        return endpoint

    def _adopt(self, sandbox: Sandbox, endpoint: Endpoint) -> None:
        try:
            index = netns.inside(sandbox.fd, lambda: _outer_index(endpoint.interface))
            self._veths.adopt(endpoint.id, index)
        except OSError as error:
            raise errdefs.SystemFailure(
                f"endpoint {endpoint.name} has lost its interface: {error.strerror}"
            ) from error
        finally:
            self._take(endpoint.id, endpoint.ipv4)

    def _disconnect(self, endpoint: Endpoint, *, hot: bool) -> None:
        address = self._taken.pop(endpoint.id, None)
        if address is not None:
            self._addresses.free(address)
        if hot:
            self._veths.unplug(endpoint.id)
        else:
            self._veths.retire(endpoint.id)

    def _remove(self) -> None:
        self._rules.remove_bridge(self._device.name)
        bridge_device.remove(self._worker.rtnl, self._device)

    def _take(self, endpoint_id: str, wanted: str | None) -> str:
        address = self._addresses.take(wanted)
        self._taken[endpoint_id] = address
        return address

    def _endpoint(self, sandbox: Sandbox, request: EndpointRequest, interface: str) -> Endpoint:
        endpoint_id = new_id()
        address = self._take(endpoint_id, request.ipv4)
        return Endpoint(
            id=endpoint_id,
            name=request.endpoint_name,
            container_id=request.container_id,
            sandbox_id=sandbox.id,
            network_id=self.info.id,
            network=self.info.name,
            interface=interface,
            ipv4=address,
            prefix_len=self._subnet.prefixlen,
            gateway="" if self.info.internal else self.info.gateway,
            mac=request.mac or mac_of(address),
            names=request.names,
            links=request.links,
            gateway_priority=request.gateway_priority,
            dns=tuple(resolvconf.parse(resolvconf.read_host()[0]).nameservers),
        )


def _configure(endpoint: Endpoint) -> None:
    """Inside the sandbox: no IPv6 on the interface, then up and address in one write."""
    name = endpoint.interface
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        sysctl.write(f"ipv6/conf/{name}/disable_ipv6", "1")
    index = socket.if_nametoindex(name)
    broadcast = str(IPv4Network(f"{endpoint.ipv4}/{endpoint.prefix_len}", strict=False).broadcast_address)
    own = netlink.address(index, endpoint.ipv4, endpoint.prefix_len, broadcast=broadcast)
    with Rtnetlink() as rtnl:
        rtnl.batch(
            [
                (netlink.RTM_SETLINK, 0, netlink.link(index, flags=_IFF_UP, change=_IFF_UP)),
                (netlink.RTM_NEWADDR, netlink.CREATE, own),
            ]
        )


def _outer_index(interface: str) -> int:
    """Inside the sandbox: the index, in the host, of the other end of its interface."""
    with Rtnetlink() as rtnl:
        found = rtnl.get(netlink.RTM_GETLINK, netlink.link(attrs=[("IFLA_IFNAME", interface)]))
    index: int = found.get_attr("IFLA_LINK")
    return index
