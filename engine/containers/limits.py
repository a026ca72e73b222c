"""Limits of a container's control group, from what is asked for. Looks at block devices of the host."""

import os

import errdefs
from engine.containers.config import HostConfig, ThrottleDevice
from runtime.spec import resources
from runtime.spec.resources import DeviceLimit, Resources


def limits_of(host: HostConfig) -> Resources:
    """The resources of a host configuration; InvalidArgument for a block device that is not there."""
    quota, period = host.cpu_quota, host.cpu_period
    if host.nano_cpus:
        quota, period = resources.cpu_bandwidth(host.nano_cpus)
    return Resources(
        memory=host.memory,
        memory_reservation=host.memory_reservation,
        memory_swap=host.memory_swap,
        memory_swappiness=None if host.memory_swappiness == -1 else host.memory_swappiness,
        oom_kill_disable=host.oom_kill_disable,
        cpu_shares=host.cpu_shares,
        cpu_quota=quota,
        cpu_period=period,
        cpu_realtime_period=host.cpu_realtime_period,
        cpu_realtime_runtime=host.cpu_realtime_runtime,
        cpuset_cpus=host.cpuset_cpus,
        cpuset_mems=host.cpuset_mems,
        pids_limit=host.pids_limit,
        blkio_weight=host.blkio_weight,
        blkio_weight_devices=tuple(_limit(each.path, each.weight) for each in host.blkio_weight_device or ()),
        blkio_read_bps=_throttles(host.blkio_device_read_bps),
        blkio_write_bps=_throttles(host.blkio_device_write_bps),
        blkio_read_iops=_throttles(host.blkio_device_read_iops),
        blkio_write_iops=_throttles(host.blkio_device_write_iops),
    )


def _throttles(asked: list[ThrottleDevice] | None) -> tuple[DeviceLimit, ...]:
    return tuple(_limit(each.path, each.rate) for each in asked or ())


def _limit(path: str, value: int) -> DeviceLimit:
    if "\0" in path:
        raise errdefs.InvalidArgument(f"stat {path}: invalid argument")
    try:
        device = os.stat(path).st_rdev
    except OSError as error:
        raise errdefs.InvalidArgument(f"stat {path}: {os.strerror(error.errno or 0).lower()}") from error
    return DeviceLimit(major=os.major(device), minor=os.minor(device), value=value)
