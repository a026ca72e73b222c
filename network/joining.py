"""Taking sandboxes into networks and out again: the driver's part, default routes, names, ports that lead there."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Mapping, Sequence
from functools import partial
from typing import Final

import errdefs
from network import routes
from network.arrival import Arrival
from network.attachments import DEFAULT_PREFIX, Attachment
from network.dns.resolver import Resolver
from network.drivers import leading
from network.drivers.driver import Driver, NetworkInfo
from network.endpoint import Endpoint, EndpointRequest
from network.exposure import Exposure
from network.nftables.entry import Link
from network.opening import PREDEFINED
from network.routes import Gateways
from network.rules import Rules
from network.sandbox import Sandbox
from network.worker import Worker

_log = logging.getLogger(__name__)

_PREFIX_OPTION: Final = "com.docker.network.container_iface_prefix"
_INTERFACE_OPTION: Final = "com.docker.network.endpoint.ifname"


class Joining:
    """`drivers` are the networks that are there, by id. Nothing here is to be cancelled half done: see Steps."""

    def __init__(
        self,
        worker: Worker,
        rules: Rules,
        drivers: Mapping[str, Driver],
        resolver: Resolver,
        exposure: Exposure,
    ) -> None:
        self._worker = worker
        self._rules = rules
        self._drivers = drivers
        self._resolver = resolver
        self._exposure = exposure

    def bridged(self, attachment: Attachment) -> Gateways:
        """The endpoints that ports lead to: those that lead out, when they are behind a bridge."""
        ipv4, ipv6 = (each if each and self._is_bridged(each) else None for each in attachment.gateways)
        return Gateways(ipv4, ipv6)

    async def connect(self, attachment: Attachment, driver: Driver, request: EndpointRequest) -> Endpoint:
        """One more endpoint, whole or not at all. Raises errdefs."""
        sandbox, info = attachment.sandbox, driver.info
        prefix = info.options.get(_PREFIX_OPTION) or DEFAULT_PREFIX
        interface = request.options.get(_INTERFACE_OPTION) or attachment.free_interface(prefix)
        asks = _has_names(sandbox, info) and not self._resolver.serves(sandbox)
        arrival = Arrival(attachment.endpoints, asks=asks)
        endpoint = await self._arrive(attachment, driver, request, interface, arrival)
        attachment.endpoints.append(endpoint)
        if not sandbox.host:
            self._resolver.join(sandbox.id, endpoint, internal=info.internal)
        if arrival.opened is not None:
            self._resolver.serve(sandbox, arrival.opened)
        try:
            now = leading.of(attachment.gateways)
            await leading.begin(self._drivers, leading.of(arrival.before), now)
        except BaseException:
            await self.disconnect(attachment, endpoint)
            raise
        await leading.look(self._drivers, list(attachment.endpoints))
        return endpoint

    async def _arrive(
        self,
        attachment: Attachment,
        driver: Driver,
        request: EndpointRequest,
        interface: str,
        arrival: Arrival,
    ) -> Endpoint:
        """What the kernel has of it; after a failure default routes are as they were."""
        fd = attachment.sandbox.fd
        endpoint: Endpoint | None = None
        try:
            endpoint = await driver.connect(attachment.sandbox, request, interface, arrival.finish)
            if fd >= 0 and arrival.is_due(endpoint):
                await self._worker.run(partial(arrival.make_up, fd, endpoint))
        except BaseException:
            if arrival.opened is not None:
                self._resolver.drop(arrival.opened)
            if endpoint is not None:
                await self._take_off(attachment.sandbox, endpoint, hot=True)
            await self.renew_routes(attachment)
            raise
        return endpoint

    async def disconnect(self, attachment: Attachment, endpoint: Endpoint) -> None:
        """One endpoint less, its sandbox lives on. Raises errdefs, OSError; idempotent."""
        sandbox, before = attachment.sandbox, attachment.gateways
        attachment.endpoints = [each for each in attachment.endpoints if each.id != endpoint.id]
        led_out = _is(leading.of(before), endpoint)
        if led_out:
            await leading.end(self._drivers, endpoint)
        self._resolver.leave(sandbox.id, endpoint.id)
        if any(_is(each, endpoint) for each in attachment.published):
            await self._exposure.withdraw(attachment)
        with contextlib.suppress(OSError):  # its process may be gone, or have changed what we made
            await self._follow(attachment, before)
        await self._take_off(sandbox, endpoint, hot=True)
        if led_out:
            try:
                await leading.begin(self._drivers, None, leading.of(attachment.gateways))
            except errdefs.WherryError as error:
                _log.warning("%s", error.message)

    def rename(self, attachment: Attachment, endpoint: Endpoint) -> None:
        """The endpoint has other names (or links) now."""
        attachment.replace(endpoint)
        internal = self._drivers[endpoint.network_id].info.internal
        self._resolver.join(attachment.sandbox.id, endpoint, internal=internal)

    async def link(self, attachment: Attachment, reached: Sequence[Link]) -> None:
        """Let it reach these, and those of before no more. Raises SystemFailure."""
        before, attachment.links = attachment.links, reached

        def work() -> None:
            self._rules.add(set(reached) - set(before))
            self._rules.remove(set(before) - set(reached))

        if set(before) != set(reached):
            await self._worker.run(work)

    async def adopt(self, attachment: Attachment, endpoints: Sequence[Endpoint]) -> list[str]:
        """Take over endpoints of an earlier daemon. Returns what is not as it was."""
        return [warning for each in endpoints for warning in await self._adopt(attachment, each)]

    async def _adopt(self, attachment: Attachment, endpoint: Endpoint) -> list[str]:
        driver = self._drivers.get(endpoint.network_id)
        if driver is None:
            return [f"endpoint {endpoint.name}: network {endpoint.network} is not there any more"]
        attachment.endpoints.append(endpoint)
        try:
            await driver.adopt(attachment.sandbox, endpoint)
            await self._resolve(attachment.sandbox, endpoint, driver.info)
        except errdefs.WherryError as error:
            return [error.message]
        return []

    async def renew_routes(self, attachment: Attachment) -> None:
        """Let the default routes lead by the endpoints that are there, whatever they were."""
        with contextlib.suppress(OSError):  # its process may be gone, or have changed what we made
            await self._follow(attachment, Gateways())

    async def release(self, attachment: Attachment) -> None:
        """Take back all that a container has. Does all, then raises a failure."""
        failures: list[Exception] = []
        await self._resolver.close(attachment.sandbox.id)
        await _collect(failures, self._exposure.withdraw(attachment))
        leads_out = leading.of(attachment.gateways)
        for endpoint in attachment.endpoints:
            if _is(leads_out, endpoint):
                await _collect(failures, leading.end(self._drivers, endpoint))
            await _collect(failures, self._take_off(attachment.sandbox, endpoint, hot=False))
        if attachment.links:
            await _collect(failures, self._worker.run(lambda: self._rules.remove(attachment.links)))
        await _collect(failures, self._worker.run(attachment.sandbox.close))
        if failures:
            raise failures[0]

    def _is_bridged(self, endpoint: Endpoint) -> bool:
        driver = self._drivers.get(endpoint.network_id)
        return driver is not None and driver.info.driver == "bridge"

    async def _follow(self, attachment: Attachment, before: Gateways) -> None:
        fd, after = attachment.sandbox.fd, attachment.gateways
        if after != before:
            await self._worker.run(lambda: routes.follow_in(fd, before, after))

    async def _resolve(self, sandbox: Sandbox, endpoint: Endpoint, info: NetworkInfo) -> None:
        """Let the endpoint's names be known, and the sandbox ask for names as it did before."""
        if not sandbox.host:
            self._resolver.join(sandbox.id, endpoint, internal=info.internal)
        if _has_names(sandbox, info):
            await self._resolver.adopt(sandbox)

    async def _take_off(self, sandbox: Sandbox, endpoint: Endpoint, *, hot: bool) -> None:
        driver = self._drivers.get(endpoint.network_id)
        if driver is not None:
            await driver.disconnect(sandbox, endpoint, hot=hot)
        addresses = [each for each in (endpoint.ipv4, endpoint.ipv6) if each]
        if addresses:
            await self._worker.run(lambda: self._worker.conntrack.forget_container(addresses))


def _has_names(sandbox: Sandbox, info: NetworkInfo) -> bool:
    """Whether a sandbox in the network asks for names: in networks of users."""
    return not sandbox.host and info.name not in PREDEFINED


def _is(one: Endpoint | None, other: Endpoint) -> bool:
    """Whether they are the same one, whatever its names are by now."""
    return one is not None and one.id == other.id


async def _collect(failures: list[Exception], step: Awaitable[None]) -> None:
    try:
        await step
    except (OSError, errdefs.WherryError) as error:
        failures.append(error)
