"""The network of one daemon: sandboxes, endpoints and published ports of its containers.

What is in the kernel outlives this object and its process. After a restart `open` finds it, `adopt` takes over each
running container, and `reconcile` makes the kernel hold that and nothing else; traffic flows meanwhile.
Calls for one container come one after the other (the engine has a lock for each); different containers may overlap.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import errdefs
from network import sandbox as sandboxes
from network import sysctl
from network.drivers import bridge_device
from network.drivers.bridge import BridgeDriver
from network.drivers.driver import Driver, NetworkInfo
from network.drivers.host import HostDriver
from network.drivers.null import NullDriver
from network.endpoint import Endpoint, EndpointRequest
from network.forwarding import Forwarding
from network.nftables.bridge import Bridge
from network.nftables.ruleset import Ruleset, table_name
from network.nftables.transaction import Transactions
from network.ports import PortBinding, PortRequest, Ports, ephemeral_range
from network.publisher import Publication, Publisher
from network.rules import Rules
from network.sandbox import Sandbox
from network.worker import Worker

_log = logging.getLogger(__name__)

_SWEEP_SECONDS: Final = 1.0
_MAX_NAME: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """`instance`: 8 hex digits that mark all that is ours. `mark`: one bit of the packet mark for forwarded packets."""

    instance: str
    exec_root: Path
    bridge: str = "wherry0"
    bip: str | None = None
    mark: int = 0x02000000


@dataclass(slots=True)
class _Attachment:
    """All that one container has."""

    sandbox: Sandbox
    endpoints: list[Endpoint] = field(default_factory=list)
    publications: list[Publication] = field(default_factory=list)


class Controller:
    """Owner of the worker thread, the watch on nftables, the held sockets and their proxies."""

    def __init__(
        self, config: NetworkConfig, worker: Worker, lock: Transactions, bridge: BridgeDriver, rules: Rules
    ) -> None:
        self._links = config.exec_root / "netns"
        self._worker = worker
        self._lock = lock
        self._bridge = bridge
        self._rules = rules
        ports = Ports(ephemeral_range(sysctl.read("ipv4/ip_local_port_range")))
        self._publisher = Publisher(worker, rules, ports)
        created = bridge.info.created
        others = (
            HostDriver(_network_id(config, "host"), created),
            NullDriver(_network_id(config, "none"), created),
        )
        self._drivers: dict[str, Driver] = {each.info.name: each for each in (bridge, *others)}
        self._attachments: dict[str, _Attachment] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, config: NetworkConfig) -> Controller:
        """The bridge is there, forwarding is on, the rules are applied and watched.

        Raises InvalidArgument for a bad bridge name or bip, Conflict when another daemon has the bridge, SystemFailure
        when the kernel refuses.
        """
        _check(config)
        async with AsyncExitStack() as undo:
            worker = await Worker.open()
            undo.push_async_callback(worker.close)
            lock = await worker.run(lambda: bridge_device.reserve(config.bridge))
            undo.push_async_callback(worker.run, lock.close)
            bridge = await worker.run(lambda: _open_bridge(worker, config))
            rules = Rules(worker, _ruleset(config, bridge), _forwarding(worker, config))
            await rules.open()
            undo.push_async_callback(rules.close)
            controller = cls(config, worker, lock, bridge, rules)
            undo.pop_all()
            return controller

    async def close(self) -> None:
        """Let go of sockets, threads and fds. Everything in the kernel stays for the next daemon."""
        if self._sweep is not None:
            self._sweep.cancel()
        await self._rules.close()
        for attachment in self._attachments.values():
            self._let_go(attachment)
        for task in list(self._tasks):
            task.cancel()
        await self._worker.run(self._lock.close)
        await self._worker.close()

    async def dismantle(self) -> None:
        """Remove everything of this instance from the kernel; only close() may follow."""
        for container_id in list(self._attachments):
            await self.release(container_id)
        await self._rules.dismantle()
        await self._worker.run(self._bridge.dismantle)

    def networks(self) -> list[NetworkInfo]:
        """bridge, host and none."""
        return [driver.info for driver in self._drivers.values()]

    async def create_sandbox(
        self, container_id: str, *, pid: int | None = None, host: bool = False
    ) -> Sandbox:
        """A network stack for the container: a new namespace, that of process `pid` (made by runc), or the host's own.

        Raises Conflict when the container has one.
        """
        try:
            return await self._worker.run(lambda: self._make_sandbox(container_id, pid, host=host).sandbox)
        except asyncio.CancelledError:
            self._spawn(self._worker.run(lambda: self._release(container_id)))
            raise

    async def connect(self, sandbox: Sandbox, request: EndpointRequest) -> Endpoint:
        """Attach the sandbox to a network. Raises NotFound for an unknown one, and what its driver raises."""
        driver = self._drivers.get(request.network)
        if driver is None:
            raise errdefs.NotFound(f"network {request.network} not found")
        return await self._worker.run(lambda: self._connect(driver, sandbox, request))

    async def publish(self, endpoint: Endpoint, wanted: Sequence[PortRequest]) -> list[PortBinding]:
        """Lead ports of the host to the endpoint; all or none.

        Raises PortInUse (a SystemFailure, as Docker's 500) in Docker's words, InvalidArgument.
        """
        if not wanted or not endpoint.ipv4:
            return []
        attachment = self._attachment(endpoint.container_id)
        publication = await self._publisher.publish(endpoint, wanted, attachment.publications.append)
        return publication.bindings

    async def release(self, container_id: str) -> None:
        """Take back ports, endpoints and sandbox of a container; idempotent. Does all, then raises a failure."""
        attachment = self._attachments.get(container_id)
        if attachment is None:
            return
        for publication in attachment.publications:
            publication.unserve()
        await self._worker.run(lambda: self._release(container_id))
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._start_sweep)

    async def adopt(
        self, container_id: str, pid: int, endpoint: Endpoint, ports: Sequence[PortBinding]
    ) -> list[str]:
        """Take over a container that an earlier daemon started, without touching its traffic.

        Returns what is not as it was. Raises NotFound when the process is gone, Conflict when it is adopted already.
        """
        if any(each.id == endpoint.id for each in self._endpoints_of(container_id)):
            raise errdefs.Conflict(f"endpoint {endpoint.id} is adopted already")
        warnings = await self._worker.run(lambda: self._adopt(container_id, pid, endpoint))
        if ports and endpoint.ipv4:
            publication, more = await self._publisher.adopt(endpoint, ports)
            self._attachments[container_id].publications.append(publication)
            warnings += more
        return warnings

    async def reconcile(self, known: set[str]) -> None:
        """All running containers are adopted: what belongs to others of this instance is removed from the kernel."""
        for container_id in set(self._attachments) - known:
            await self.release(container_id)
        await self._rules.settle()
        strays = await self._worker.run(self._bridge.remove_strays)
        if strays:
            _log.info("removed interfaces without a container: %s", ", ".join(strays))
        await self._worker.run(self._remove_stale_links)

    def _attachment(self, container_id: str) -> _Attachment:
        attachment = self._attachments.get(container_id)
        if attachment is None:
            raise errdefs.NotFound(f"container {container_id} has no sandbox")
        return attachment

    def _endpoints_of(self, container_id: str) -> list[Endpoint]:
        attachment = self._attachments.get(container_id)
        return attachment.endpoints if attachment else []

    # What follows runs in the worker's thread; it records what it made before it returns, for a caller that was
    # cancelled meanwhile comes back with release() and nothing else.

    def _make_sandbox(self, container_id: str, pid: int | None, *, host: bool) -> _Attachment:
        if container_id in self._attachments:
            raise errdefs.Conflict(f"container {container_id} has a sandbox already")
        if host:
            sandbox = sandboxes.of_host(container_id, self._links)
        elif pid is not None:
            sandbox = sandboxes.of_process(container_id, pid, self._links)
        else:
            sandbox = sandboxes.make(container_id, self._links)
        return self._attachments.setdefault(container_id, _Attachment(sandbox))

    def _connect(self, driver: Driver, sandbox: Sandbox, request: EndpointRequest) -> Endpoint:
        attachment = self._attachment(sandbox.container_id)
        endpoint = driver.connect(sandbox, request)
        attachment.endpoints.append(endpoint)
        return endpoint

    def _release(self, container_id: str) -> None:
        attachment = self._attachments.pop(container_id, None)
        if attachment is None:
            return
        failures: list[Exception] = []
        for publication in attachment.publications:
            _collect(failures, partial(self._publisher.withdraw, publication))
        for endpoint in attachment.endpoints:
            _collect(failures, partial(self._disconnect, endpoint))
        _collect(failures, attachment.sandbox.close)
        if failures:
            raise failures[0]

    def _disconnect(self, endpoint: Endpoint) -> None:
        self._drivers[endpoint.network].disconnect(endpoint)
        if endpoint.ipv4:
            self._worker.conntrack.forget_container(endpoint.ipv4)

    def _adopt(self, container_id: str, pid: int, endpoint: Endpoint) -> list[str]:
        driver = self._drivers.get(endpoint.network)
        if driver is None:
            return [f"endpoint {endpoint.name}: network {endpoint.network} is not there any more"]
        attachment = self._attachments.get(container_id) or self._adopt_sandbox(container_id, pid, endpoint)
        attachment.endpoints.append(endpoint)
        try:
            driver.adopt(attachment.sandbox, endpoint)
        except errdefs.WherryError as error:
            return [error.message]
        return []

    def _adopt_sandbox(self, container_id: str, pid: int, endpoint: Endpoint) -> _Attachment:
        if endpoint.network == "host":
            sandbox = sandboxes.of_host(container_id, self._links)
        else:
            try:
                sandbox = sandboxes.of_process(container_id, pid, self._links, sandbox_id=endpoint.sandbox_id)
            except (FileNotFoundError, ProcessLookupError) as error:
                raise errdefs.NotFound(f"process {pid} of container {container_id} is gone") from error
        return self._attachments.setdefault(container_id, _Attachment(sandbox))

    def _remove_stale_links(self) -> None:
        if not self._links.is_dir():
            return
        kept = {attachment.sandbox.key for attachment in self._attachments.values()}
        for link in self._links.iterdir():
            if link.is_symlink() and link not in kept:
                link.unlink(missing_ok=True)

    # On the loop again.

    def _let_go(self, attachment: _Attachment) -> None:
        for publication in attachment.publications:
            publication.unserve()
            for held in publication.held:
                if held.socket is not None:
                    held.socket.close()
        attachment.sandbox.release_fd()

    def _start_sweep(self) -> None:
        self._sweep = None
        self._spawn(self._worker.run(self._bridge.sweep))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _collect(failures: list[Exception], step: Callable[[], None]) -> None:
    try:
        step()
    except (OSError, errdefs.WherryError) as error:
        failures.append(error)


def _check(config: NetworkConfig) -> None:
    if not re.fullmatch(r"[0-9a-f]{8}", config.instance):
        raise errdefs.InvalidArgument(f"invalid instance {config.instance!r}: 8 hex digits are needed")
    name = config.bridge
    if not 0 < len(name) <= _MAX_NAME or name in (".", "..") or not re.fullmatch(r"[A-Za-z0-9_.@-]+", name):
        raise errdefs.InvalidArgument(f"invalid bridge name {name!r}")


def _network_id(config: NetworkConfig, name: str) -> str:
    """Ids of the predefined networks: the same after each restart, different for each instance."""
    return hashlib.sha256(f"wherry network {config.instance} {name}".encode()).hexdigest()


def _open_bridge(worker: Worker, config: NetworkConfig) -> BridgeDriver:
    _forwarding(worker, config).enable()
    try:
        device = bridge_device.ensure(worker.rtnl, config.bridge, config.bip, f"wherry:{config.instance}")
    except OSError as error:
        raise errdefs.SystemFailure(f"cannot set up bridge {config.bridge}: {error.strerror}") from error
    return BridgeDriver(
        worker.rtnl, device, _network_id(config, "bridge"), config.instance, datetime.now(UTC)
    )


def _forwarding(worker: Worker, config: NetworkConfig) -> Forwarding:
    return Forwarding(worker.nft, config.mark, table_name(config.instance))


def _ruleset(config: NetworkConfig, bridge: BridgeDriver) -> Ruleset:
    default = Bridge(name=config.bridge, network_id=_network_id(config, "bridge"), subnets=(bridge.subnet,))
    return Ruleset(table_name(config.instance), config.mark, {config.bridge: default})
