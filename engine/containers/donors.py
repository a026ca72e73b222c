"""Containers whose namespaces a new one asks for: they are there when it is created, and are known by ID."""

import msgspec

import errdefs
from engine.containers.config import HostConfig
from engine.containers.store import ContainerStore

_SHARED = "container:"


def by_id(host: HostConfig, store: ContainerStore) -> HostConfig:
    """The configuration with the network's donor by its ID, since names change. InvalidArgument for one that is not."""
    for mode in (host.ipc_mode, host.pid_mode):
        if reference := _donor(mode):
            _get(reference, store)
    if reference := _donor(host.network_mode):
        return msgspec.structs.replace(host, network_mode=_SHARED + _get(reference, store))
    return host


def _donor(mode: str) -> str:
    return mode.removeprefix(_SHARED) if mode.startswith(_SHARED) else ""


def _get(reference: str, store: ContainerStore) -> str:
    try:
        return store.get(reference).id
    except errdefs.NotFound as error:
        raise errdefs.InvalidArgument(error.message) from error
