"""A container's place in the network while it starts."""

from dataclasses import dataclass, field
from functools import partial

import msgspec

import errdefs
from engine.containers import ports
from engine.containers.config import HostConfig
from engine.containers.container import Container
from engine.containers.store import ContainerStore
from engine.undo import Undo
from network.controller import Controller
from network.endpoint import Endpoint, EndpointRequest
from network.ports import PortBinding
from network.sandbox import Sandbox
from runtime.spec.namespaces import HOST

SHARED = "container:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugged:
    """What a start got of the network. `namespace` is as the spec wants it: a path or HOST."""

    namespace: str
    own: bool = True
    sandbox: Sandbox | None = None
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    ports: list[PortBinding] = field(default_factory=list)

    @property
    def sandbox_id(self) -> str:
        """ "" without a network stack of its own."""
        return self.sandbox.id if self.sandbox else ""

    def follow(self, pid: int) -> None:
        """The process is there: it holds the network stack from now on."""
        if self.sandbox is not None:
            self.sandbox.follow(pid)


def mode_of_host(host: HostConfig) -> str:
    """ "bridge", "host", "none" or "container:<reference>"."""
    return "bridge" if host.network_mode in ("", "default") else host.network_mode


def mode_of(container: Container) -> str:
    """The mode of a container that exists."""
    return mode_of_host(container.host_config)


async def plug(container: Container, undo: Undo, network: Controller, store: ContainerStore) -> Plugged:
    """Make the container's network, a step of `undo` each: sandbox, endpoint, ports."""
    mode = mode_of(container)
    if mode.startswith(SHARED):
        return _share(container, store)
    on_host = mode == "host"
    sandbox = await network.create_sandbox(container.id, host=on_host)
    undo.step("sandbox", partial(network.release, container.id))
    if container.config.network_disabled:
        return Plugged(namespace=HOST if on_host else sandbox.path, own=not on_host, sandbox=sandbox)
    endpoint = await network.connect(sandbox, _request(container, mode))
    undo.step("endpoint")
    given = await network.publish(container.id, ports.wanted(container.config, container.host_config))
    undo.step("ports")
    return Plugged(
        namespace=HOST if on_host else sandbox.path,
        own=not on_host,
        sandbox=sandbox,
        endpoints={mode: endpoint},
        ports=given,
    )


def _request(container: Container, mode: str) -> EndpointRequest:
    asked = container.networks.get(mode)
    addresses = asked.ipam_config if asked else None
    return EndpointRequest(
        network=mode,
        container_id=container.id,
        endpoint_name=container.name,
        ipv4=(addresses.ipv4_address or None) if addresses else None,
        mac=(asked.mac_address if asked else "") or container.config.mac_address or None,
    )


def with_shared_name(container: Container, store: ContainerStore) -> Container:
    """A container that shares another's network goes by that one's host name, as in Docker."""
    if not mode_of(container).startswith(SHARED):
        return container
    theirs = other_of(container, store).config
    config = msgspec.structs.replace(container.config, hostname=theirs.hostname, domainname=theirs.domainname)
    return msgspec.structs.replace(container, config=config)


def other_of(container: Container, store: ContainerStore) -> Container:
    """The container whose network is shared; Conflict if it does not run."""
    other = store.get(mode_of(container).removeprefix(SHARED))
    if not other.running:
        raise errdefs.Conflict(f"cannot join network of a non running container: {other.id}")
    return other


def _share(container: Container, store: ContainerStore) -> Plugged:
    other = other_of(container, store)
    if mode_of(other) == "host":
        return Plugged(namespace=HOST, own=False)
    return Plugged(namespace=f"/proc/{other.state.pid}/ns/net", own=False)
