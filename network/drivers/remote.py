"""Networks of a plugin: it makes the interfaces, they are moved into the sandboxes; it publishes the ports.

After a restart of the daemon nothing is called for what is there already; the plugin is looked for again when it is
needed.
"""

from __future__ import annotations

import asyncio
import logging
from ipaddress import ip_interface
from typing import Any, Final

import msgspec

import errdefs
from network.drivers import endpoints, moved
from network.drivers import remote_messages as messages
from network.drivers.driver import NetworkInfo
from network.drivers.remote_messages import Given, Joined
from network.endpoint import Endpoint, EndpointRequest
from network.held import DELETE_ENDPOINT, DELETE_NETWORK, Call, Held, was_heard
from network.interface import Finish
from network.ipam.leases import Leases
from network.sandbox import Sandbox
from network.worker import Worker
from plugins.client import PluginAway, PluginFailure
from plugins.registry import NETWORK

_log = logging.getLogger(__name__)

_NOT_FOUND: Final = 404
_LOOK_SECONDS: Final = 2.0
_NO_PORTS: Final = messages.sandbox(EndpointRequest(network="", container_id="", endpoint_name=""))


class RemoteDriver:
    """One network. Its methods for different sandboxes may overlap: the plugin is not called one after the other."""

    def __init__(self, held: Held, worker: Worker, info: NetworkInfo) -> None:
        self._held = held
        self._worker = worker
        self._leases = None if info.ipam_driver == "null" else Leases(info)
        self._ports: dict[str, messages.Message] = {}  # endpoint id -> what Join was told of its ports
        self._refused: set[str] = set()  # ids of endpoints that do not lead out
        self.info = info

    async def call(self, method: str, arguments: messages.Message) -> messages.Message:
        """The plugin's answer. Raises PluginFailure and what Plugins.get does."""
        plugin = await self._held.plugins.get(self.info.driver, NETWORK)
        return messages.check(method, await plugin.client.call(f"{NETWORK}.{method}", arguments))

    async def create(self) -> None:
        """CreateNetwork. Raises PluginFailure, and SystemFailure when it cannot be noted."""
        await self._held.note(self.info.id, Call(self.info.driver, DELETE_NETWORK, self._own()))
        try:
            await self.call("CreateNetwork", messages.network(self.info))
        except errdefs.WherryError as error:
            await self._not_made(self.info.id, error)
            raise

    async def connect(
        self, sandbox: Sandbox, request: EndpointRequest, interface: str, finish: Finish, /
    ) -> Endpoint:
        """CreateEndpoint, Join, and the interface that Join names; the inverse of each when a later one fails."""
        asked = await self._worker.run(lambda: endpoints.named(self.info, sandbox, request, interface))
        endpoint = self._addressed(asked, request)
        try:
            endpoint = await self._create(endpoint, request)
            try:
                return await self._join(sandbox, endpoint, request, finish)
            except BaseException:
                await self._delete(endpoint)
                raise
        except BaseException:
            self._free(endpoint)
            raise

    async def adopt(self, sandbox: Sandbox, endpoint: Endpoint, /) -> None:
        """Its addresses are taken again; its interface should be there."""
        self._ports[endpoint.id] = _NO_PORTS
        if self._leases is not None:
            endpoints.hold_again(endpoint, self._leases)
        if endpoint.source and not await self._worker.run(lambda: moved.is_there(sandbox.fd, endpoint)):
            raise errdefs.SystemFailure(f"endpoint {endpoint.name} has lost its interface")

    async def disconnect(self, sandbox: Sandbox, endpoint: Endpoint, /, *, hot: bool) -> None:  # noqa: ARG002
        """Leave, the interface goes back to the plugin, hot or not, DeleteEndpoint. Its failures are logged."""
        if self._ports.pop(endpoint.id, None) is None:
            return
        await self._tell("Leave", endpoint)
        await self._worker.run(lambda: moved.give_back(sandbox.fd, endpoint))
        await self._delete(endpoint)
        self._free(endpoint)

    async def lead_out(self, endpoint: Endpoint) -> None:
        """The endpoint has become the one by which its sandbox reaches the outside. Raises PluginFailure."""
        if self.info.internal:
            return
        options = {"Options": self._ports.get(endpoint.id, _NO_PORTS)}
        try:
            await self._optional("ProgramExternalConnectivity", {**self._names(endpoint), **options})
        except errdefs.WherryError as error:
            self._refused.add(endpoint.id)
            raise PluginFailure(
                f"driver failed programming external connectivity on endpoint {endpoint.name} ({endpoint.id}):"
                f" {error.message}"
            ) from error

    async def lead_out_no_more(self, endpoint: Endpoint) -> None:
        """The inverse of `lead_out`, unless that was refused; that the plugin fails is logged."""
        if endpoint.id in self._refused:
            self._refused.discard(endpoint.id)
            return
        try:
            await self._optional("RevokeExternalConnectivity", self._names(endpoint))
        except errdefs.WherryError as error:
            _log.warning("network %s: cannot revoke external connectivity: %s", self.info.name, error.message)

    async def look(self, endpoint: Endpoint) -> None:
        """EndpointOperInfo, of which dockerd can use nothing either; who does not answer at once is not waited for."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                plugin = await self._held.plugins.get(self.info.driver, NETWORK, patient=False)
                method = f"{NETWORK}.EndpointOperInfo"
                await plugin.client.call(method, self._names(endpoint), patient=False)
        except (errdefs.WherryError, TimeoutError) as error:
            _log.debug("network %s, endpoint %s: no information: %s", self.info.name, endpoint.name, error)

    async def remove(self) -> None:
        """DeleteNetwork. That the plugin fails is logged, as in Docker; one that is not to be found is a failure."""
        try:
            await self._held.plugins.get(self.info.driver, NETWORK)
        except errdefs.WherryError as error:
            raise errdefs.SystemFailure(f"failed deleting Network: {error.message}") from error
        try:
            await self.call("DeleteNetwork", self._own())
        except errdefs.WherryError as error:
            _log.warning("network %s: its plugin did not delete it: %s", self.info.name, error.message)
            if not was_heard(error):
                return
        await self._held.forget(self.info.id)

    async def _create(self, endpoint: Endpoint, request: EndpointRequest) -> Endpoint:
        interface = {
            "Address": _cidr(endpoint.ipv4, endpoint.prefix_len),
            "AddressIPv6": _cidr(endpoint.ipv6, endpoint.ipv6_prefix_len),
            "MacAddress": endpoint.mac,
        }
        options = messages.endpoint(request, internal=self.info.internal)
        arguments = {**self._names(endpoint), "Interface": interface, "Options": options}
        driver, names = self.info.driver, self._names(endpoint)
        taken_back = (Call(driver, f"{NETWORK}.Leave", names), Call(driver, DELETE_ENDPOINT, names))
        await self._held.note(endpoint.id, *taken_back)
        try:
            answer = await self.call("CreateEndpoint", arguments)
        except errdefs.WherryError as error:
            await self._not_made(endpoint.id, error)
            raise self._failed(endpoint, error.message) from error
        try:
            return _completed(endpoint, messages.given(answer))
        except PluginFailure as error:
            await self._delete(endpoint)
            raise self._failed(endpoint, f"{error.message}; rolled back") from error

    async def _join(
        self, sandbox: Sandbox, endpoint: Endpoint, request: EndpointRequest, finish: Finish
    ) -> Endpoint:
        ports = messages.sandbox(request)
        where = {"SandboxKey": str(sandbox.key), "Options": ports}
        answer = await self.call("Join", {**self._names(endpoint), **where})
        try:
            joined = messages.joined(answer)
            endpoint = await self._worker.run(lambda: self._move(sandbox, endpoint, joined, finish))
        except BaseException:
            await self._tell("Leave", endpoint)
            raise
        self._ports[endpoint.id] = ports
        return endpoint

    def _move(self, sandbox: Sandbox, endpoint: Endpoint, joined: Joined, finish: Finish) -> Endpoint:
        """In the worker's thread. The name is the plugin's when it has one in mind, beyond Docker's usual prefix."""
        if not joined.source:
            return msgspec.structs.replace(endpoint, interface="")
        name = joined.name or endpoint.interface
        if not joined.name and joined.prefix and not endpoint.interface.startswith(joined.prefix):
            name = moved.free_name(sandbox.fd, joined.prefix)
        endpoint = msgspec.structs.replace(
            endpoint,
            interface=name,
            source=joined.source,
            gateway=joined.gateway,
            ipv6_gateway=joined.ipv6_gateway,
        )
        moved.take(self._worker.rtnl, sandbox.fd, endpoint, joined.routes, finish)
        return endpoint

    async def _optional(self, method: str, arguments: messages.Message) -> None:
        """A plugin need not know it."""
        try:
            await self.call(method, arguments)
        except PluginFailure as error:
            if error.status != _NOT_FOUND:
                raise

    async def _tell(self, method: str, endpoint: Endpoint) -> None:
        try:
            await self.call(method, self._names(endpoint))
        except errdefs.WherryError as error:
            _log.warning("network %s, endpoint %s: %s", self.info.name, endpoint.name, error.message)

    async def _delete(self, endpoint: Endpoint) -> None:
        try:
            await self.call("DeleteEndpoint", self._names(endpoint))
        except errdefs.WherryError as error:
            _log.warning("network %s, endpoint %s: %s", self.info.name, endpoint.name, error.message)
            if not was_heard(error):
                return
        await self._held.forget(endpoint.id)

    async def _not_made(self, key: str, error: errdefs.WherryError) -> None:
        """What a plugin that did not answer may have made all the same is taken back at the next boot."""
        if not (isinstance(error, PluginAway) and error.asked):
            await self._held.forget(key)

    def _own(self) -> dict[str, Any]:
        return {"NetworkID": self.info.id}

    def _names(self, endpoint: Endpoint) -> dict[str, Any]:
        return {"NetworkID": self.info.id, "EndpointID": endpoint.id}

    def _failed(self, endpoint: Endpoint, why: str) -> errdefs.WherryError:
        return PluginFailure(f"failed to create endpoint {endpoint.name} on network {self.info.name}: {why}")

    def _addressed(self, asked: Endpoint, request: EndpointRequest) -> Endpoint:
        """The plugin knows the gateways."""
        if self._leases is None:
            return asked
        try:
            return endpoints.addressed(asked, self._leases, request, by_gateway=False)
        except BaseException:
            self._leases.release(asked.id)
            raise

    def _free(self, endpoint: Endpoint) -> None:
        if self._leases is not None:
            self._leases.release(endpoint.id)


def _cidr(address: str, size: int) -> str:
    return f"{address}/{size}" if address else ""


def _completed(endpoint: Endpoint, given: Given) -> Endpoint:
    """With what the plugin decided. Raises PluginFailure when that was decided already, otherwise."""
    for what, ours, theirs in (
        ("address", _cidr(endpoint.ipv4, endpoint.prefix_len), given.ipv4),
        ("address", _cidr(endpoint.ipv6, endpoint.ipv6_prefix_len), given.ipv6),
        ("MAC address", endpoint.mac, given.mac),
    ):
        if ours and theirs and ours != theirs:
            shown = "MAC address" if what == "MAC address" else "IP"
            raise PluginFailure(
                f"driver modified interface {what}: endpoint interface {shown} present ({ours})."
                f" Cannot be modified with ({theirs})."
            )
    endpoint = msgspec.structs.replace(endpoint, mac=endpoint.mac or given.mac)
    if given.ipv4:
        own = ip_interface(given.ipv4)
        endpoint = msgspec.structs.replace(endpoint, ipv4=str(own.ip), prefix_len=own.network.prefixlen)
    if given.ipv6:
        own = ip_interface(given.ipv6)
        endpoint = msgspec.structs.replace(endpoint, ipv6=str(own.ip), ipv6_prefix_len=own.network.prefixlen)
    return endpoint
