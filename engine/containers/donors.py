"""Containers whose namespaces another asks for: there when it is created, known by ID, running when it starts."""

import msgspec

import errdefs
from engine.containers.config import HostConfig
from engine.containers.container import Container
from engine.containers.state import Status
from engine.containers.store import ContainerStore

SHARED = "container:"
_UNSHARED = ("private", "none")
"""IPC modes of containers whose IPC namespace nobody may join."""


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


def joined(host: HostConfig, store: ContainerStore) -> dict[str, int]:
    """The init pids of the donors by "ipc" and "pid"; InvalidArgument or Conflict in Docker's words."""
    pids = {}
    if host.ipc_mode.startswith(SHARED):
        pids["ipc"] = of_ipc(host, store).state.pid
    if host.pid_mode.startswith(SHARED):
        pids["pid"] = _running(host.pid_mode, "PID", store).state.pid
    return pids


def of_ipc(host: HostConfig, store: ContainerStore) -> Container:
    """The running container whose IPC namespace is joined; InvalidArgument or Conflict in Docker's words."""
    donor = _running(host.ipc_mode, "IPC", store)
    if donor.host_config.ipc_mode in _UNSHARED:
        raise not_shareable(donor.id)
    return donor


def not_shareable(donor: str) -> errdefs.InvalidArgument:
    """What is said of a container whose IPC namespace, or /dev/shm, cannot be joined."""
    return errdefs.InvalidArgument(
        f"failed to join IPC namespace: container {donor}: non-shareable IPC "
        "(hint: use IpcMode:shareable for the donor container)"
    )


def _running(mode: str, kind: str, store: ContainerStore) -> Container:
    prefix = f"failed to join {kind} namespace: "
    try:
        donor = store.get(mode.removeprefix(SHARED))
    except errdefs.NotFound as error:
        raise errdefs.InvalidArgument(prefix + error.message) from error
    if donor.state.status is Status.RESTARTING:
        raise errdefs.Conflict(
            f"{prefix}Container {donor.id} is restarting, wait until the container is running"
        )
    if not donor.running:
        raise errdefs.Conflict(f"{prefix}container {donor.id} is not running")
    return donor


def _by_id(mode: str, store: ContainerStore) -> str:
    reference = mode.removeprefix(SHARED)
    if reference in ("", mode):
        return mode
    try:
        return SHARED + store.get(reference).id
    except errdefs.NotFound as error:
        raise errdefs.InvalidArgument(error.message) from error
