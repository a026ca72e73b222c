"""The network of a step: none, the host's, the default bridge, or what the classic API asks for by a name."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

import errdefs
from engine import ids
from engine.containers.machinery import Machinery
from engine.containers.network_mode import PREDEFINED, SHARED
from engine.containers.store import ContainerStore
from network import resolvconf
from network.drivers.driver import NetworkInfo
from network.endpoint import EndpointRequest
from runtime.spec.namespaces import HOST, NEW

_DEFAULTS = ("", "default")
_BRIDGE = "bridge"


class Plugged(msgspec.Struct, frozen=True):
    """`namespace` is NEW, HOST or a path, as the spec has it; `own`: it is the step's alone."""

    namespace: str
    own: bool


class StepNetworks:
    """Gives steps their network stacks."""

    def __init__(self, machinery: Machinery, containers: ContainerStore) -> None:
        self._machinery = machinery
        self._containers = containers

    def gateways(self) -> list[str]:
        """What "host-gateway" stands for: the configuration's, else the host's addresses on the default bridge."""
        if given := self._machinery.config.host_gateway_ips:
            return list(given)
        bridge = [info for info in self._machinery.network.networks() if info.name == _BRIDGE]
        return [pool.gateway for info in bridge for pool in info.pools if pool.gateway]

    def comes_late(self, mode: str) -> bool:
        """Whether the runtime makes the namespace, since it belongs to a new user namespace."""
        own = mode != HOST and not mode.startswith(SHARED)
        return own and self._machinery.identity.remapped

    @asynccontextmanager
    async def plug(self, step_id: str, mode: str, pid: int | None = None) -> AsyncIterator[Plugged]:
        """A network stack for a step, while it lasts; that of process `pid` for one that `comes_late`.

        NotFound or Conflict in Docker's words for a network or container that is not there.
        """
        info = None if mode in ("none", HOST) or mode.startswith(SHARED) else self._find(mode)
        if mode == HOST:
            yield Plugged(HOST, own=False)
        elif mode.startswith(SHARED):
            yield self._shared(mode.removeprefix(SHARED))
        elif info is None:
            yield Plugged(NEW, own=True)
        else:
            async with self._joined(step_id, info, pid) as plugged:
                yield plugged

    def _shared(self, reference: str) -> Plugged:
        other = self._containers.get(reference)
        if not other.running:
            raise errdefs.Conflict(f"cannot join network of a non running container: {other.id}")
        return Plugged(f"/proc/{other.state.pid}/ns/net", own=False)

    @asynccontextmanager
    async def _joined(self, step_id: str, info: NetworkInfo, pid: int | None) -> AsyncIterator[Plugged]:
        network, config = self._machinery.network, self._machinery.config
        name = ids.short(step_id)
        async with AsyncExitStack() as undo:
            undo.enter_context(self._machinery.networks.hold(info, step_id, name))
            sandbox = await network.create_sandbox(step_id, pid=pid)
            undo.push_async_callback(network.release, step_id)
            network.nameservers(step_id, config.dns, config.dns_opts)
            request = EndpointRequest(network=info.name, container_id=step_id, endpoint_name=name)
            await network.connect(sandbox, request)
            yield Plugged(sandbox.path, own=True)

    def _find(self, mode: str) -> NetworkInfo | None:
        """The network; None for the default one of a daemon that has none."""
        if mode not in _DEFAULTS:
            return self._machinery.networks.find(mode)
        known = [info for info in self._machinery.network.networks() if info.name == _BRIDGE]
        return known[0] if known else None

    def resolv_conf(self, mode: str) -> bytes:
        """The file that a container in that network would have. Blocks."""
        config = self._machinery.config
        text, path = resolvconf.read_host()
        asked = (config.dns, config.dns_opts, config.dns_search)
        if mode in (*_DEFAULTS, *PREDEFINED) or mode.startswith(SHARED):
            return resolvconf.build(text, *asked, path=path, host_network=mode == HOST, ipv6=True)
        return resolvconf.build_embedded(text, *asked, path=path, ipv6=True)
