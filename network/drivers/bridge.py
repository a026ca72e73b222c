"""One network behind a Linux bridge of the host."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

import errdefs
from network import interface, links, netns
from network.drivers import bridge_device, endpoints
from network.drivers.bridge_device import Device
from network.drivers.bridge_options import Options
from network.drivers.driver import NetworkInfo
from network.drivers.veth import Veths
from network.endpoint import Endpoint, EndpointRequest, mac_of, verify_mac
from network.interface import Finish
from network.ipam.leases import Leases
from network.netlink import Rtnetlink
from network.rules import Rules
from network.sandbox import Sandbox
from network.steps import Steps
from network.worker import Worker


class BridgeDriver:
    """Each endpoint is a pair of interfaces. `forget` is called when the network is no more."""

    def __init__(
        self,
        worker: Worker,
        veths: Veths,
        rules: Rules,
        device: Device,
        options: Options,
        info: NetworkInfo,
        forget: Callable[[], None],
        steps: Steps,
    ) -> None:
        self._worker = worker
        self._steps = steps
        self._veths = veths
        self._rules = rules
        self._device = device
        self._options = options
        self._forget = forget
        self._leases = Leases(info)
        self.info = info

    async def connect(
        self, sandbox: Sandbox, request: EndpointRequest, name: str, finish: Finish, /
    ) -> Endpoint:
        """A veth pair, with hairpin on its port of the bridge."""
        verify_mac(request.mac)
        return await self._worker.run(lambda: self._connect(sandbox, request, name, finish))

    async def adopt(self, sandbox: Sandbox, endpoint: Endpoint, /) -> None:
        """Take the endpoint's addresses again and find its port of the bridge from inside."""
        await self._worker.run(lambda: self._adopt(sandbox, endpoint))

    async def disconnect(self, _: Sandbox, endpoint: Endpoint, /, *, hot: bool) -> None:
        """Silence or remove the port of the bridge and free the addresses."""
        await self._worker.run(lambda: self._disconnect(endpoint.id, hot=hot))

    async def remove(self) -> None:
        """Remove the bridge when this instance made it, and then what the rules say of it."""
        await bridge_device.vanish(self._worker, self._steps, self._device)
        await self._worker.run(lambda: self._rules.remove_bridge(self._device.name))
        self._forget()

    # What follows runs in the worker's thread.

    def _connect(self, sandbox: Sandbox, request: EndpointRequest, name: str, finish: Finish) -> Endpoint:
        asked = endpoints.named(self.info, sandbox, request, name)
        try:
            leads = not self.info.internal
            endpoint = endpoints.addressed(asked, self._leases, request, by_gateway=leads)
            endpoint = msgspec.structs.replace(
                endpoint, mac=asked.mac or mac_of(endpoint.ipv4 or endpoint.ipv6)
            )
            self._veths.plug(
                asked.id,
                self._device.index,
                sandbox.fd,
                name,
                endpoint.mac,
                self._options.mtu,
            )
            made = netns.inside(sandbox.fd, lambda: interface.set_up(endpoint, request.sysctls, finish))
            self._veths.settle(asked.id, self._device.index)
        except BaseException as error:
            self._disconnect(asked.id, hot=True)
            if isinstance(error, OSError):
                raise errdefs.SystemFailure(
                    f"cannot attach endpoint {request.endpoint_name} to {self.info.name}: {error.strerror}"
                ) from error
            raise
        self._leases.keep(asked.id, (made.ipv4, made.ipv6))  # a sysctl may have forbidden IPv6
        return made

    def _adopt(self, sandbox: Sandbox, endpoint: Endpoint) -> None:
        try:
            index = netns.inside(sandbox.fd, lambda: _outer_index(endpoint.interface))
            self._veths.adopt(endpoint.id, index)
        except OSError as error:
            raise errdefs.SystemFailure(
                f"endpoint {endpoint.name} has lost its interface: {error.strerror}"
            ) from error
        finally:
            endpoints.hold_again(endpoint, self._leases)

    def _disconnect(self, endpoint_id: str, *, hot: bool) -> None:
        self._leases.release(endpoint_id)
        if hot:
            self._veths.unplug(endpoint_id)
        else:
            self._veths.retire(endpoint_id)


def _outer_index(name: str) -> int:
    """Inside the sandbox: the index, in the host, of the other end of its interface."""
    with Rtnetlink() as rtnl:
        return links.find(rtnl, name=name).other
