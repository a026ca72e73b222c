"""Containers whose namespaces another asks for: there when it is created, known by ID, running when it starts."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

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


@contextmanager
def joining(container: Container, store: ContainerStore) -> Iterator[dict[str, str]]:
    """Hold the donors' namespaces; gives the paths by which the runtime finds them, by "ipc", "pid" and, as what is
    joined belongs to it, "user".

    InvalidArgument or Conflict in Docker's words. An IPC namespace stays when its donor ends meanwhile; one of
    processes ends with its first, and what that leads to is told as what it is.
    """
    host, donors = container.host_config, {}
    if host.ipc_mode.startswith(SHARED):
        donors["ipc"] = of_ipc(host, store)
    if host.pid_mode.startswith(SHARED):
        donors["pid"] = _running(host.pid_mode, "PID", store)
    with ExitStack() as held:
        paths = {kind: _hold(held, donor, kind) for kind, donor in donors.items()}
        for kind, donor in donors.items():
            require_same_users(container, donor, kind.upper())
            if container.identity.remapped:
                paths["user"] = _path(donor, "user")  # the runtime looks at its maps beside it
        try:
            yield paths
        except errdefs.WherryError as error:
            if "pid" in donors and not os.path.exists(_path(donors["pid"], "pid")):
                raise _not_running(donors["pid"], "PID") from error
            raise


def require_same_users(container: Container, donor: Container, kind: str) -> None:
    """Pass unless a container with a user namespace of its own joins what belongs to another; InvalidArgument."""
    if container.identity.remapped and container.identity != donor.identity:
        raise errdefs.InvalidArgument(
            f"failed to join {kind} namespace: container {donor.id} has not the same user namespace "
            "(hint: give both the same UsernsMode)"
        )


def _hold(held: ExitStack, donor: Container, kind: str) -> str:
    try:
        fd = os.open(_path(donor, kind), os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise _not_running(donor, kind.upper()) from error
    held.callback(os.close, fd)
    return f"/proc/{os.getpid()}/fd/{fd}"


def _path(donor: Container, kind: str) -> str:
    return f"/proc/{donor.state.pid}/ns/{kind}"


def _not_running(donor: Container, kind: str) -> errdefs.Conflict:
    return errdefs.Conflict(f"failed to join {kind} namespace: container {donor.id} is not running")


def of_ipc(host: HostConfig, store: ContainerStore) -> Container:
    """The running container whose IPC namespace is joined; InvalidArgument or Conflict in Docker's words."""
    donor = _running(host.ipc_mode, "IPC", store)
    if donor.host_config.ipc_mode in _UNSHARED:
        raise not_shareable(donor)
    return donor


def not_shareable(donor: Container) -> errdefs.WherryError:
    """What is said of a container whose IPC namespace, or /dev/shm, cannot be joined: it may have ended just now."""
    if not os.path.exists(_path(donor, "ipc")):
        return _not_running(donor, "IPC")
    return errdefs.InvalidArgument(
        f"failed to join IPC namespace: container {donor.id}: non-shareable IPC "
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
        raise _not_running(donor, kind)
    return donor


def _by_id(mode: str, store: ContainerStore) -> str:
    reference = mode.removeprefix(SHARED)
    if reference in ("", mode):
        return mode
    try:
        return SHARED + store.get(reference).id
    except errdefs.NotFound as error:
        raise errdefs.InvalidArgument(error.message) from error
