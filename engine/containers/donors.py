"""Containers whose namespaces a new one asks for: they are there when it is created, and are known by ID."""

import msgspec

import errdefs
from engine.containers.config import HostConfig
from engine.containers.store import ContainerStore

_SHARED = "container:"


def by_id(host: HostConfig, store: ContainerStore) -> HostConfig:
    """The configuration with donors by their IDs, since names change.

    InvalidArgument when there is no donor of IPC or processes; that of the network may come until the start.
    """
    changes = {name: _by_id(getattr(host, name), store) for name in ("ipc_mode", "pid_mode")}
    try:
        changes["network_mode"] = _by_id(host.network_mode, store)
    except errdefs.InvalidArgument:
        changes["network_mode"] = host.network_mode
    return msgspec.structs.replace(host, **changes)


def _by_id(mode: str, store: ContainerStore) -> str:
    reference = mode.removeprefix(_SHARED)
    if reference in ("", mode):
        return mode
    try:
        return _SHARED + store.get(reference).id
    except errdefs.NotFound as error:
        raise errdefs.InvalidArgument(error.message) from error
