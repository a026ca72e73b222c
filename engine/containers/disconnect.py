"""Disconnecting a container from a network, whether it runs or not."""

import logging
from collections.abc import Mapping
from typing import TypeVar

import msgspec

import errdefs
from engine.containers import files, networking, places, ports
from engine.containers.connect import require_present
from engine.containers.container import Container
from engine.containers.machinery import Machinery
from engine.containers.network_mode import mode_of
from engine.containers.store import ContainerStore
from engine.undo import Undo
from network.drivers.driver import NetworkInfo
from network.endpoint import Endpoint
from network.ports import PortBinding

STEPS = ("save", "endpoint", "files", "ports")

_log = logging.getLogger(__name__)
_replace = msgspec.structs.replace
_T = TypeVar("_T")


async def disconnect(
    container: Container, reference: str, machinery: Machinery, store: ContainerStore, *, force: bool = False
) -> NetworkInfo | None:
    """Disconnect a container, whose lock the caller holds; the network, None if it is not there any more.

    The last network may go, too: the container has nothing but its loopback then. With `force` a running container
    may leave a network that is gone. Errors are Docker's, but that one which is in no such network is not found.
    """
    require_present(container)
    info = networking.finder(machinery.networks)(reference)
    if info is None and container.running and not force:
        raise errdefs.NotFound(f"network {reference} not found")
    name = info.name if info else reference
    if container.running and info is not None:
        places.require_disconnectable(mode_of(container), info)
    endpoint = container.endpoints.get(name)
    if container.running and info is not None and endpoint is None:
        raise errdefs.NotFound(f"container {container.id} is not connected to network {name}")
    if name not in container.networks:
        raise errdefs.NotFound(f"container {container.id} is not connected to the network {name}")
    if endpoint is None:
        await store.save(without(container, name))
    else:
        await _disconnect(container, endpoint, machinery, store)
    return info


def without(container: Container, name: str) -> Container:
    """The record of a container that is not to be in a network any more."""
    return _replace(
        container,
        networks=_less(container.networks, name),
        network_ids=_less(container.network_ids, name),
        endpoints=_less(container.endpoints, name),
    )


def _less(by_name: Mapping[str, _T], name: str) -> dict[str, _T]:
    return {key: value for key, value in by_name.items() if key != name}


async def _disconnect(
    container: Container, endpoint: Endpoint, machinery: Machinery, store: ContainerStore
) -> None:
    """The record goes first: an interface that no record knows is removed at the next boot."""
    network = machinery.network
    async with Undo("disconnect", STEPS) as undo:
        alone = without(container, endpoint.network)
        await store.save(_replace(alone, reconnecting=True))

        async def as_before() -> None:
            await store.save(_replace(container, ports=network.bindings(container.id)))

        undo.step("save", as_before)
        await network.disconnect(container.id, endpoint)
        undo.step("endpoint")
        undo.done()
    await files.left(container, endpoint, machinery)
    undo.step("files")
    await store.save_run(_replace(alone, ports=await _follow(container, machinery)))
    undo.step("ports")


async def _follow(container: Container, machinery: Machinery) -> list[PortBinding]:
    """The ports, which lead to another endpoint now; what cannot be had there is no reason to stay."""
    wanted = ports.wanted(container.config, container.host_config)
    try:
        return await machinery.network.republish(container.id, wanted)
    except errdefs.WherryError as error:
        _log.warning("container %s: its ports are not published any more: %s", container.id[:12], error)
        return []
