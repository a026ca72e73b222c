"""Limits of a container as the spec's linux.resources, and rlimits of its processes."""

from typing import Any

import msgspec

_PERIOD = 100_000  # microseconds: the kernel's default, and what --cpus is counted in


class DeviceLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A block device and its weight, bytes per second or operations per second."""

    major: int
    minor: int
    value: int


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """Resolved limits; 0 and "" say nothing, as on Docker's wire, None where 0 has a meaning of its own.

    Memory is bytes, `memory_swap` memory plus swap: -1, unlimited, is the kernel's default and not written,
    since a kernel without swap accounting would fail on it. CPU quota and periods are microseconds.
    `pids_limit` None leaves the cgroup alone, 0 or less lifts the limit.
    """

    memory: int = 0
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    cpu_realtime_runtime: int = 0
    cpu_realtime_period: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int | None = None
    blkio_weight: int = 0
    blkio_weight_devices: tuple[DeviceLimit, ...] = ()
    blkio_read_bps: tuple[DeviceLimit, ...] = ()
    blkio_write_bps: tuple[DeviceLimit, ...] = ()
    blkio_read_iops: tuple[DeviceLimit, ...] = ()
    blkio_write_iops: tuple[DeviceLimit, ...] = ()
    unified: tuple[tuple[str, str], ...] = ()

    def to_oci(self) -> dict[str, Any]:
        """Return linux.resources without its devices; parts that say nothing are absent.

        Also what an update of a running container sends to the runtime.
        """
        pids = None if self.pids_limit is None else {"limit": self.pids_limit if self.pids_limit > 0 else -1}
        parts: dict[str, Any] = {
            "memory": _memory(self),
            "cpu": _cpu(self),
            "blockIO": _block_io(self),
            "pids": pids,
            "unified": dict(self.unified),
        }
        return {name: part for name, part in parts.items() if part}


class Rlimit(msgspec.Struct, frozen=True, kw_only=True):
    """A --ulimit: `name` in Docker's lower case ("nofile"); -1 is unlimited."""

    name: str
    soft: int
    hard: int

    def to_oci(self) -> dict[str, Any]:
        """Return the spec's process.rlimits entry: RLIM_INFINITY is an unsigned -1."""
        mask = (1 << 64) - 1
        return {"type": f"RLIMIT_{self.name.upper()}", "soft": self.soft & mask, "hard": self.hard & mask}


def cpu_bandwidth(nano_cpus: int) -> tuple[int, int]:
    """Return (quota, period) in microseconds for HostConfig.NanoCpus, 10^9 being one CPU."""
    return nano_cpus * _PERIOD // 1_000_000_000, _PERIOD


def _memory(asked: Resources) -> dict[str, Any]:
    values: dict[str, Any] = {
        "limit": asked.memory if asked.memory > 0 else None,
        "reservation": asked.memory_reservation if asked.memory_reservation > 0 else None,
        "swap": asked.memory_swap if asked.memory_swap > 0 else None,
        "swappiness": asked.memory_swappiness,
        "disableOOMKiller": asked.oom_kill_disable,
    }
    return {name: value for name, value in values.items() if value is not None}


def _cpu(asked: Resources) -> dict[str, Any]:
    values: dict[str, Any] = {
        "shares": asked.cpu_shares,
        "quota": asked.cpu_quota,
        "period": asked.cpu_period,
        "realtimeRuntime": asked.cpu_realtime_runtime,
        "realtimePeriod": asked.cpu_realtime_period,
        "cpus": asked.cpuset_cpus,
        "mems": asked.cpuset_mems,
    }
    return {name: value for name, value in values.items() if value}


def _block_io(asked: Resources) -> dict[str, Any]:
    weights = _devices(asked.blkio_weight_devices, "weight")
    values: dict[str, Any] = {
        "weight": asked.blkio_weight,
        "weightDevice": weights,
        "throttleReadBpsDevice": _devices(asked.blkio_read_bps, "rate"),
        "throttleWriteBpsDevice": _devices(asked.blkio_write_bps, "rate"),
        "throttleReadIOPSDevice": _devices(asked.blkio_read_iops, "rate"),
        "throttleWriteIOPSDevice": _devices(asked.blkio_write_iops, "rate"),
    }
    return {name: value for name, value in values.items() if value}


def _devices(limits: tuple[DeviceLimit, ...], name: str) -> list[dict[str, int]]:
    return [{"major": limit.major, "minor": limit.minor, name: limit.value} for limit in limits]
