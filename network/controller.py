"""The network of one daemon: its networks, and the sandboxes, endpoints and published ports of its containers.

What is in the kernel outlives this object and its process. After a restart `open` finds it, `restore_network` takes
over each network and `adopt` each running container, and `reconcile` makes the kernel hold that and nothing else;
traffic flows meanwhile.
Calls for one container come one after the other (the engine has a lock for each), and so do those for one network;
different ones may overlap. A caller that is cancelled leaves nothing half made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from network import opening, sysctl
from network.announcement import Announcements
from network.attachments import Attachments
from network.catalog import Catalog
from network.dns.resolver import Resolver
from network.drivers import bridge_device
from network.drivers.driver import NetworkInfo
from network.endpoint import Endpoint, EndpointRequest
from network.exposure import Exposure
from network.held import Held
from network.joining import Joining
from network.nftables.entry import Link
from network.nftables.transaction import Transactions
from network.opening import NetworkConfig
from network.ports import PortBinding, PortRequest, Ports, ephemeral_range
from network.publisher import Publisher
from network.routes import Gateways
from network.rules import Rules
from network.sandbox import Sandbox
from network.steps import Steps
from network.worker import Worker
from plugins.discovery import Places
from plugins.registry import Plugins

__all__ = ["Controller", "NetworkConfig"]

_SWEEP_SECONDS: Final = 1.0


class Controller:
    """Owner of the worker thread, the watch on nftables, the held sockets and their proxies."""

    def __init__(
        self,
        config: NetworkConfig,
        worker: Worker,
        lock: Transactions,
        rules: Rules,
        plugins: Plugins,
    ) -> None:
        self._worker = worker
        self._lock = lock
        self._rules = rules
        self._steps = Steps()
        self._announcements = Announcements(worker)
        ports = Ports(ephemeral_range(sysctl.read("ipv4/ip_local_port_range")))
        publisher = Publisher(worker, rules, ports, obey_firewall=config.obey_firewall)
        self._exposure = Exposure(worker, publisher)
        self._held = Held(config.held, plugins)
        self._catalog = Catalog(config, worker, rules, self._held, self._steps)
        self._attachments = Attachments(config.exec_root / "netns")
        self._resolver = Resolver()
        self._joining = Joining(worker, rules, self._catalog.drivers, self._resolver, self._exposure)
        self._sweep: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, config: NetworkConfig, plugins: Plugins | None = None) -> Controller:
        """The default bridge is there, forwarding is on, the rules are applied and watched.

        `plugins` are closed by their owner, before this: calls that are under way fail then. A controller
        that is alone has its own.

        Raises InvalidArgument for a bad bridge name or bip, Conflict when another daemon has the bridge, SystemFailure
        when the kernel refuses.
        """
        opening.check(config)
        async with AsyncExitStack() as undo:
            worker = await Worker.open()
            undo.push_async_callback(worker.close)
            lock = await worker.run(lambda: bridge_device.reserve(config.bridge))
            undo.push_async_callback(worker.run, lock.close)
            await worker.run(lambda: opening.forward(worker, config))
            rules = opening.rules(worker, config)
            await rules.open()
            undo.push_async_callback(rules.close)
            controller = cls(config, worker, lock, rules, plugins or Plugins(Places()))
            await controller._held.open()
            await controller._catalog.predefine()
            undo.pop_all()
            return controller

    async def close(self) -> None:
        """Let go of sockets, threads and fds. Everything in the kernel stays for the next daemon."""
        if self._sweep is not None:
            self._sweep.cancel()
        await self._steps.close()
        await self._announcements.close()
        await self._resolver.shutdown()
        await self._rules.close()
        for container_id in self._attachments:
            self._attachments.get(container_id).let_go()
        await self._worker.run(self._lock.close)
        await self._worker.close()

    async def dismantle(self) -> None:
        """Remove everything of this instance from the kernel; only close() may follow."""
        for container_id in self._attachments:
            await self.release(container_id)
        await self._catalog.dismantle()
        await self._rules.dismantle()

    def networks(self) -> list[NetworkInfo]:
        """bridge, host and none, then those of users in the order in which they were made."""
        return self._catalog.infos()

    async def create_network(self, asked: NetworkInfo) -> NetworkInfo:
        """Make a network, whole or not at all; id and name are given, pools may be empty or partial.

        Returns what it became, as `restore_network` wants it. Raises errdefs in Docker's words.
        """
        return await self._catalog.create(asked)

    async def restore_network(self, made: NetworkInfo) -> None:
        """At boot, before `adopt`: take over a network of an earlier daemon; what is missing of it is made again.

        Raises errdefs when it can be no more (its subnet is another's now, its driver is gone).
        """
        await self._catalog.restore(made)

    async def remove_network(self, network_id: str) -> None:
        """Remove a network that nothing is connected to; idempotent."""
        await self._catalog.remove(network_id)

    async def create_sandbox(
        self, container_id: str, *, pid: int | None = None, host: bool = False
    ) -> Sandbox:
        """A network stack for the container: a new namespace, that of process `pid` (made by runc), or the host's own.

        Raises Conflict when the container has one.
        """
        work = self._worker.run(lambda: self._attachments.make(container_id, pid, host=host))
        attachment = await self._steps.whole(work, lambda _: self.release(container_id))
        return attachment.sandbox

    def sandbox(self, container_id: str) -> Sandbox:
        """The network stack of a container that runs. Raises NotFound."""
        return self._attachments.get(container_id).sandbox

    async def connect(self, sandbox: Sandbox, request: EndpointRequest) -> Endpoint:
        """Attach the sandbox to a network, also while its container runs; default routes follow.

        Raises NotFound for an unknown network, and what its driver raises.
        """
        attachment = self._attachments.get(sandbox.container_id)
        driver = self._catalog.named(request.network)
        endpoint = await self._steps.whole(
            self._joining.connect(attachment, driver, request),
            lambda made: self._joining.disconnect(attachment, made),
        )
        self._announcements.begin(sandbox, endpoint)
        return endpoint

    async def disconnect(self, container_id: str, endpoint: Endpoint) -> None:
        """Take a running container off a network: its interface goes, default routes move to another endpoint.

        Idempotent. Ports that led to the endpoint lead nowhere until `republish`.
        """
        attachment = self._attachments.find(container_id)
        if attachment is not None:
            await self._steps.to_the_end(self._joining.disconnect(attachment, endpoint))

    def nameservers(self, container_id: str, servers: Sequence[str], options: Sequence[str] = ()) -> None:
        """The container's own nameservers and resolver options (--dns, --dns-option), for its embedded DNS.

        Without servers the host's are asked, as they are at the time. Raises NotFound.
        """
        self._resolver.upstreams(self._attachments.get(container_id).sandbox.id, servers, options)

    def rename(self, container_id: str, endpoint: Endpoint) -> None:
        """The endpoint has other names (or links) now. Raises NotFound."""
        self._joining.rename(self._attachments.get(container_id), endpoint)

    async def link(self, container_id: str, reached: Sequence[Link]) -> None:
        """Let a container reach these ports of others where containers do not see each other, until it is released.

        They take the place of those of before. Raises NotFound, SystemFailure.
        """
        await self._joining.link(self._attachments.get(container_id), reached)

    def gateways(self, container_id: str) -> Gateways:
        """The endpoints that lead out of the container. Raises NotFound."""
        return self._attachments.get(container_id).gateways

    async def publish(self, container_id: str, wanted: Sequence[PortRequest]) -> list[PortBinding]:
        """Lead ports of the host to the container, by the endpoint that leads out of it; all or none.

        Raises PortInUse (a SystemFailure, as Docker's 500) in Docker's words, InvalidArgument.
        """
        attachment = self._attachments.get(container_id)
        return await self._exposure.publish(attachment, self._joining.bridged(attachment), wanted)

    async def republish(self, container_id: str, wanted: Sequence[PortRequest]) -> list[PortBinding]:
        """After a hot connect or disconnect: let the ports follow the endpoint that leads out now.

        Ports of the host that were given stay the same. Returns and raises as `publish`.
        """
        attachment = self._attachments.get(container_id)
        return await self._exposure.republish(attachment, self._joining.bridged(attachment), wanted)

    def bindings(self, container_id: str) -> list[PortBinding]:
        """The ports that are published now; none of a container without a sandbox."""
        attachment = self._attachments.find(container_id)
        return attachment.bindings if attachment else []

    async def release(self, container_id: str) -> None:
        """Take back ports, endpoints and sandbox of a container; idempotent. Does all, then raises a failure."""
        attachment = self._attachments.take(container_id)
        if attachment is None:
            return
        await self._steps.to_the_end(self._joining.release(attachment))
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._start_sweep)

    async def adopt(
        self,
        container_id: str,
        pid: int,
        endpoints: Sequence[Endpoint],
        ports: Sequence[PortBinding],
        *,
        sandbox_id: str | None = None,
    ) -> list[str]:
        """Take over a container that an earlier daemon started, without touching its traffic.

        `sandbox_id` is needed for one without endpoints.
        Returns what is not as it was. Raises NotFound when the process is gone, Conflict when it is adopted already.
        """
        on_host = any(each.network == "host" for each in endpoints)
        sandbox_id = endpoints[0].sandbox_id if endpoints else sandbox_id
        for each in endpoints:
            self._held.keep(each.id)
            self._held.keep(each.network_id)
        attachment = await self._worker.run(
            lambda: self._attachments.adopt(container_id, pid, sandbox_id, host=on_host)
        )
        warnings = await self._joining.adopt(attachment, endpoints)
        return warnings + await self._exposure.adopt(attachment, self._joining.bridged(attachment), ports)

    async def renew_routes(self, container_id: str) -> None:
        """After `adopt` of a container whose connect or disconnect was cut short: its default routes lead out by the
        endpoints that it has. Raises NotFound.
        """
        await self._joining.renew_routes(self._attachments.get(container_id))

    async def reconcile(self, known: set[str]) -> None:
        """All networks are restored and all running containers adopted: what belongs to others of this instance is
        removed from the kernel. A moment later ports of adopted containers are held, proxies serve them, and what
        plugins hold for nobody is taken back.
        """
        for container_id in self._attachments:
            if container_id not in known:
                await self.release(container_id)
        self._resolver.settle()
        await self._rules.settle()
        await self._catalog.remove_strays()
        await self._worker.run(self._attachments.remove_stale_links)
        self._steps.spawn(self._exposure.hold_adopted())
        self._steps.spawn(self._held.take_back())

    def _start_sweep(self) -> None:
        self._sweep = None
        self._catalog.sweep()
