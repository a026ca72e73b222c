"""A container's places in networks while it starts."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import msgspec

import errdefs
from engine.containers import donors, places, ports
from engine.containers.container import Container
from engine.containers.machinery import Machinery
from engine.containers.network_mode import PREDEFINED, SHARED, mode_of
from engine.containers.places import Find, Place
from engine.containers.store import ContainerStore
from engine.networks.networks import Networks
from engine.undo import Undo
from network.controller import Controller
from network.drivers.driver import NetworkInfo
from network.endpoint import Endpoint
from network.ports import PortBinding
from network.sandbox import Sandbox
from runtime.spec.namespaces import HOST, NEW


class Plugged(msgspec.Struct, frozen=True, kw_only=True):
    """What a start got of the network. `namespace` is as the spec wants it: a path, HOST, or NEW while there is none.

    `users` is the path of the user namespace that it belongs to, "" for the container's own.
    """

    namespace: str
    users: str = ""
    own: bool = True
    sandbox: Sandbox | None = None
    places: list[Place] = msgspec.field(default_factory=list)
    endpoints: dict[str, Endpoint] = msgspec.field(default_factory=dict)
    ports: list[PortBinding] = msgspec.field(default_factory=list)

    @classmethod
    def later(cls) -> "Plugged":
        """What a container whose network `comes_late` has until it is created."""
        return cls(namespace=NEW)

    @property
    def sandbox_id(self) -> str:
        """ "" without a network stack of its own."""
        return self.sandbox.id if self.sandbox else ""

    def follow(self, pid: int) -> None:
        """The process is there: it holds the network stack from now on."""
        if self.sandbox is not None:
            self.sandbox.follow(pid)


def finder(networks: Networks) -> Find:
    """Finds networks; None for what is not there."""

    def find(reference: str) -> NetworkInfo | None:
        try:
            return networks.find(reference)
        except errdefs.NotFound:
            return None

    return find


@contextmanager
def holding(container: Container, networks: Networks) -> Iterator[list[Place]]:
    """The places of a container that starts; their networks stay until the record tells of them, or the start failed.

    NotFound, InvalidArgument or Forbidden in Docker's words for what cannot be had.
    """
    if container.config.network_disabled or mode_of(container).startswith(SHARED):
        yield []
        return
    found = places.of(container, finder(networks))
    with ExitStack() as held:
        for place in found:
            held.enter_context(networks.hold(place.info, container.id, container.name))
        yield found


def name_servers(container: Container, machinery: Machinery) -> None:
    """Tell the embedded DNS of a container with a network stack of its own whom it is to ask for all else."""
    host, config = container.host_config, machinery.config
    machinery.network.nameservers(container.id, host.dns or config.dns, host.dns_options or config.dns_opts)


def comes_late(container: Container) -> bool:
    """Whether the runtime has to make the network namespace: one that belongs to a new user namespace."""
    return container.identity.remapped and not mode_of(container).startswith(SHARED)


async def plug(
    container: Container,
    found: list[Place],
    undo: Undo,
    machinery: Machinery,
    store: ContainerStore,
    pid: int | None = None,
) -> Plugged:
    """Make the container's network, a step of `undo` each: sandbox, endpoints, ports.

    `pid` is the created process of one whose network `comes_late`.
    """
    network = machinery.network
    if mode_of(container).startswith(SHARED):
        return _share(container, store)
    on_host = mode_of(container) == "host"
    sandbox = await network.create_sandbox(container.id, pid=pid, host=on_host)
    undo.step("sandbox", partial(network.release, container.id))
    name_servers(container, machinery)
    endpoints = {}
    for place in found:
        endpoints[place.info.name] = await network.connect(sandbox, places.request(container, place))
        if len(endpoints) == 1:
            undo.step("endpoint")
    undo.step("endpoints")
    given = await network.publish(container.id, ports.wanted(container.config, container.host_config))
    undo.step("ports")
    return Plugged(
        namespace=HOST if on_host else sandbox.path,
        own=not on_host,
        sandbox=sandbox,
        places=found,
        endpoints=endpoints,
        ports=given,
    )


def with_places(container: Container, plugged: Plugged, find: Find) -> Container:
    """The record of a container that got its places: networks go by their names from now on."""
    if container.host_config.network_mode.startswith(SHARED):
        return container
    host, main = container.host_config, find(mode_of(container))
    if main is not None and main.name not in PREDEFINED and host.network_mode not in (main.name, main.id):
        host = msgspec.structs.replace(host, network_mode=main.id)
    return msgspec.structs.replace(
        container,
        host_config=host,
        networks={place.info.name: places.settled(place) for place in plugged.places},
        network_ids={place.info.name: place.info.id for place in plugged.places},
        endpoints=plugged.endpoints,
        ports=plugged.ports,
        sandbox_id=plugged.sandbox_id,
    )


def renamed(container: Container, name: str) -> Container:
    """The container by another name, which its endpoints and the embedded DNS know it by, too."""
    container = msgspec.structs.replace(container, name=name)
    endpoints = {
        network: msgspec.structs.replace(
            endpoint,
            name=name,
            names=places.names(container, network, container.networks[network]),
        )
        for network, endpoint in container.endpoints.items()
    }
    return msgspec.structs.replace(container, endpoints=endpoints)


def tell_names(container: Container, network: Controller) -> None:
    """Let the embedded DNS know a running container by the names of its record."""
    known = {info.id for info in network.networks()}
    for endpoint in container.endpoints.values():
        if endpoint.names and endpoint.network_id in known:
            network.rename(container.id, endpoint)


def with_shared_name(container: Container, store: ContainerStore) -> Container:
    """A container that shares another's network goes by that one's host name, as in Docker."""
    if not mode_of(container).startswith(SHARED):
        return container
    theirs = other_of(container, store).config
    config = msgspec.structs.replace(container.config, hostname=theirs.hostname, domainname=theirs.domainname)
    return msgspec.structs.replace(container, config=config)


def other_of(container: Container, store: ContainerStore) -> Container:
    """The container whose network is shared; Conflict if it does not run, SystemFailure, as in Docker, for itself."""
    other = store.get(mode_of(container).removeprefix(SHARED))
    if other.id == container.id:
        raise errdefs.SystemFailure("cannot join own network")
    if not other.running:
        raise errdefs.Conflict(f"cannot join network of a non running container: {other.id}")
    return other


def _share(container: Container, store: ContainerStore) -> Plugged:
    other = other_of(container, store)
    if mode_of(other) == "host":
        return Plugged(namespace=HOST, own=False)
    donors.require_same_users(container, other, "network")
    process = f"/proc/{other.state.pid}/ns"
    users = f"{process}/user" if container.identity.remapped else ""
    return Plugged(namespace=f"{process}/net", users=users, own=False)
