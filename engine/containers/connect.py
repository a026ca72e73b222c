"""Connecting a container to a network, whether it runs or not."""

import msgspec

import errdefs
from engine.containers import files, networking, places, ports
from engine.containers.config import EndpointConfig
from engine.containers.container import Container
from engine.containers.machinery import Machinery
from engine.containers.network_mode import PREDEFINED, mode_of
from engine.containers.places import Find, Place
from engine.containers.state import Status
from engine.containers.store import ContainerStore
from engine.undo import Undo
from network.drivers.driver import NetworkInfo

STEPS = ("begun", "endpoint", "ports", "save", "files")

_replace = msgspec.structs.replace


async def connect(
    container: Container, reference: str, asked: EndpointConfig, machinery: Machinery, store: ContainerStore
) -> NetworkInfo | None:
    """Connect a container, whose lock the caller holds; the network, if a running container came to it.

    One that does not run gets its place when it starts, and its network need not be there before. Errors are Docker's;
    nothing stays of a connect that failed.
    """
    require_present(container)
    find = networking.finder(machinery.networks)
    if not container.running:
        await store.save(_noted(container, reference, asked, find))
        return None
    places.require_own_stack(mode_of(container))
    place = Place(machinery.networks.find(asked.network_id or reference), asked)
    _require_new(container, place, find)
    with machinery.networks.hold(place.info, container.id, container.name):
        await _connect(container, place, machinery, store)
    return place.info


def require_present(container: Container) -> None:
    """SystemFailure, as in Docker, for a container that is being removed."""
    if container.state.status in (Status.REMOVING, Status.DEAD):
        raise errdefs.SystemFailure(
            f"Container {container.id} is marked for removal and cannot be connected or disconnected to the network"
        )


def _noted(container: Container, reference: str, asked: EndpointConfig, find: Find) -> Container:
    """The record of a container that will be in one more network. One that it is to be in already stays as it is."""
    info = find(reference)
    if info is None:
        return _replace(container, networks={**container.networks, reference: asked})
    places.require_good(Place(info, asked))
    others = _others(container, find)
    places.require_fit(mode_of(container), info, others)
    if any(other.name == info.name for other in others):
        return container
    named = {} if info.name in PREDEFINED else {info.name: ""}
    return _replace(
        container,
        networks={**container.networks, info.name: asked},
        network_ids={**container.network_ids, **named},
    )


def _others(container: Container, find: Find) -> list[NetworkInfo]:
    """The networks that the container is to be in, as far as they are there."""
    called = (
        container.network_ids.get(name) or asked.network_id or name
        for name, asked in container.networks.items()
    )
    return [info for each in called if (info := find(each))]


def _require_new(container: Container, place: Place, find: Find) -> None:
    info = place.info
    places.require_good(place)
    places.require_link_local(place)
    places.require_fit(mode_of(container), info, _others(container, find))
    if info.name in container.endpoints:
        raise errdefs.Forbidden(f"endpoint with name {container.name} already exists in network {info.name}")
    places.require_own_stack(mode_of(container), info)


async def _connect(container: Container, place: Place, machinery: Machinery, store: ContainerStore) -> None:
    network, name = machinery.network, place.info.name
    wanted = ports.wanted(container.config, container.host_config)
    async with Undo("connect", STEPS) as undo:
        await store.save_run(_replace(container, reconnecting=True))

        async def as_before() -> None:
            await store.save_run(_replace(container, ports=network.bindings(container.id)))

        undo.step("begun", as_before)
        endpoint = await network.connect(network.sandbox(container.id), places.request(container, place))

        async def take_back() -> None:
            await network.disconnect(container.id, endpoint)
            await network.republish(container.id, wanted)

        undo.step("endpoint", take_back)
        given = await network.republish(container.id, wanted)
        undo.step("ports")
        connected = _replace(
            container,
            networks={**container.networks, name: places.settled(place)},
            network_ids={**container.network_ids, name: place.info.id},
            endpoints={**container.endpoints, name: endpoint},
            ports=given,
        )
        await store.save(_replace(connected, reconnecting=True))
        undo.step("save")
        await files.came(connected, endpoint, machinery)
        undo.step("files")
        undo.done()
    await store.save_run(connected)
