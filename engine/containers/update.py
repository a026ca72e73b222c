"""Changing the resources and the restart policy of a container, running or not."""

import asyncio
from typing import Any

import msgspec

import errdefs
from engine.containers.announce import Announcer
from engine.containers.config import HostConfig
from engine.containers.container import Container
from engine.containers.limits import limits_of
from engine.containers.live import Lives
from engine.containers.machinery import Machinery
from engine.containers.start import runtime_of
from engine.containers.state import Status
from engine.containers.store import ContainerStore
from engine.containers.verify import verify_update
from runtime.cgroups import discard
from runtime.cgroups.block import BlockLimit, Kind, limit_block_devices
from runtime.exiting import exiting
from runtime.spec.resources import DeviceLimit, Resources

BLOCK_LISTS = (
    "blkio_weight_device", "blkio_device_read_bps", "blkio_device_write_bps", "blkio_device_read_iops",
    "blkio_device_write_iops",
)  # fmt: skip
_VALUES = (
    "blkio_weight", "cpu_shares", "nano_cpus", "cpu_period", "cpu_quota", "cpuset_cpus", "cpuset_mems", "memory",
    "memory_swap", "memory_reservation", "cpu_realtime_period", "cpu_realtime_runtime",
)  # fmt: skip


class Updates:
    """The door to changes of containers."""

    def __init__(
        self, machinery: Machinery, store: ContainerStore, lives: Lives, announcer: Announcer
    ) -> None:
        self._machinery = machinery
        self._store = store
        self._lives = lives
        self._announcer = announcer

    async def update(self, reference: str, asked: HostConfig) -> list[str]:
        """Change what `asked` says and leave the rest; Docker's warnings.

        InvalidArgument, NotFound, Conflict with what was set before, SystemFailure with the runtime's text: the
        container is as it was then.
        """
        verify_update(asked, self._machinery.limits)
        changes, warnings = discard(msgspec.structs.asdict(asked), self._machinery.limits)
        asked = msgspec.structs.replace(asked, **changes)
        container_id = self._store.get(reference).id
        async with self._lives.of(container_id).lock:
            container = self._store.get(container_id)
            try:
                await self._update(container, asked)
            except errdefs.WherryError as error:
                raise type(error)(f"Cannot update container {container.id}: {error.message}") from error
        await self._announcer.tell(container, "update")
        return warnings

    async def _update(self, container: Container, asked: HostConfig) -> None:
        if container.state.status in (Status.REMOVING, Status.DEAD):
            raise errdefs.Conflict('container is marked for removal and cannot be "update"')
        host = merge(container.host_config, asked)
        limits = limits_of(asked)
        block = block_changes(limits_of(container.host_config), limits_of(host))
        await self._store.save(msgspec.structs.replace(container, host_config=host))
        if not container.running:
            return
        try:
            await self._apply(container, live_resources(asked, limits), block)
        except errdefs.WherryError:
            if exiting(container.state.pid):  # it holds from its next start on
                return
            await self._store.save(container)
            raise

    async def _apply(self, container: Container, resources: dict[str, Any], block: list[BlockLimit]) -> None:
        machinery = self._machinery
        if resources:
            runtime = runtime_of(container, machinery)
            await machinery.supervisor.update(container.id, runtime, resources)
        if block:
            await asyncio.to_thread(limit_block_devices, container.state.pid, block)


def merge(host: HostConfig, asked: HostConfig) -> HostConfig:
    """The configuration after an update: what is asked over what was. Conflict, in Docker's words. Pure."""
    _require_no_conflict(host, asked)
    changes = {name: value for name in _VALUES if (value := getattr(asked, name))}
    for name in (*BLOCK_LISTS, "pids_limit"):
        if (value := getattr(asked, name)) is not None:
            changes[name] = value
    if asked.restart_policy.name:
        changes["restart_policy"] = asked.restart_policy
    return msgspec.structs.replace(host, **changes)


def _require_no_conflict(host: HostConfig, asked: HostConfig) -> None:
    conflicts = {
        "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set": (
            asked.nano_cpus > 0 and host.cpu_period > 0
        ),
        "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set": (
            asked.nano_cpus > 0 and host.cpu_quota > 0
        ),
        "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set": (
            asked.cpu_period > 0 and host.nano_cpus > 0
        ),
        "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set": (
            asked.cpu_quota > 0 and host.nano_cpus > 0
        ),
        "Memory limit should be smaller than already set memoryswap limit, "
        "update the memoryswap at the same time": (
            asked.memory > host.memory_swap and asked.memory > 0 and asked.memory_swap == 0
        ),
        "Restart policy cannot be updated because AutoRemove is enabled for the container": (
            host.auto_remove and asked.restart_policy.name not in ("", "no")
        ),
    }
    for text, holds in conflicts.items():
        if holds:
            raise errdefs.Conflict(text)


def live_resources(asked: HostConfig, limits: Resources) -> dict[str, Any]:
    """The spec's linux.resources for the runtime: what is asked alone, block devices apart. Pure."""
    resources = limits.to_oci()
    block = {"weight": asked.blkio_weight} if asked.blkio_weight else {}
    resources.pop("blockIO", None)
    # What Docker takes note of at an update, and never sends to the runtime.
    memory = {
        name: value
        for name, value in resources.pop("memory", {}).items()
        if name not in ("swappiness", "disableOOMKiller")
    }
    if asked.memory and asked.memory_swap == -1:
        memory["swap"] = -1  # else the former limit of both stands against more memory
    return resources | {name: part for name, part in (("memory", memory), ("blockIO", block)) if part}


def block_changes(before: Resources, after: Resources) -> list[BlockLimit]:
    """What leads from the one to the other: limits that are new or other, and those lifted that are gone. Pure."""
    lists: tuple[tuple[Kind, tuple[DeviceLimit, ...], tuple[DeviceLimit, ...]], ...] = (
        ("weight", before.blkio_weight_devices, after.blkio_weight_devices),
        ("read_bps", before.blkio_read_bps, after.blkio_read_bps),
        ("write_bps", before.blkio_write_bps, after.blkio_write_bps),
        ("read_iops", before.blkio_read_iops, after.blkio_read_iops),
        ("write_iops", before.blkio_write_iops, after.blkio_write_iops),
    )
    changes = []
    for kind, old, new in lists:
        had, wants = _by_device(old), _by_device(new)
        wanted = dict.fromkeys(had, 0) | wants
        changes += [
            BlockLimit(kind, *device, value) for device, value in wanted.items() if had.get(device) != value
        ]
    return changes


def _by_device(limits: tuple[DeviceLimit, ...]) -> dict[tuple[int, int], int]:
    return {(limit.major, limit.minor): limit.value for limit in limits}
