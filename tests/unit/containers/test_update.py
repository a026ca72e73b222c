"""What an update makes of a configuration, and what it sends to the runtime and the kernel."""

from typing import Any

import pytest

import errdefs
from engine.containers.config import HostConfig, RestartPolicy, ThrottleDevice
from engine.containers.limits import limits_of
from engine.containers.update import block_changes, live_resources, merge
from runtime.cgroups.block import BlockLimit
from runtime.spec.resources import DeviceLimit, Resources


def test_what_is_not_asked_stays() -> None:
    host = HostConfig(memory=1 << 26, memory_swap=1 << 27, cpu_shares=5, pids_limit=9, binds=["/a:/b"])
    assert merge(host, HostConfig()) == host
    assert merge(host, HostConfig(cpu_shares=7)) == HostConfig(
        memory=1 << 26, memory_swap=1 << 27, cpu_shares=7, pids_limit=9, binds=["/a:/b"]
    )


def test_no_limit_of_processes_is_asked_with_zero() -> None:
    assert merge(HostConfig(pids_limit=9), HostConfig(pids_limit=0)).pids_limit == 0
    assert merge(HostConfig(pids_limit=9), HostConfig(pids_limit=None)).pids_limit == 9


def test_lists_of_devices_are_kept_by_null_and_cleared_by_an_empty_one() -> None:
    host = HostConfig(blkio_device_read_bps=[ThrottleDevice(path="/dev/x", rate=1)])
    assert merge(host, HostConfig()).blkio_device_read_bps == host.blkio_device_read_bps
    assert merge(host, HostConfig(blkio_device_read_bps=[])).blkio_device_read_bps == []


@pytest.mark.parametrize(
    ("host", "asked", "text"),
    [
        ({"cpu_period": 1000}, {"nano_cpus": 1}, "Nano CPUs cannot be updated as CPU Period"),
        ({"cpu_quota": 1000}, {"nano_cpus": 1}, "Nano CPUs cannot be updated as CPU Quota"),
        ({"nano_cpus": 1}, {"cpu_period": 1000}, "CPU Period cannot be updated as NanoCPUs"),
        ({"nano_cpus": 1}, {"cpu_quota": 1000}, "CPU Quota cannot be updated as NanoCPUs"),
        (
            {"memory_swap": 5},
            {"memory": 6},
            "Memory limit should be smaller than already set memoryswap limit",
        ),
        (
            {"auto_remove": True},
            {"restart_policy": RestartPolicy(name="always")},
            "Restart policy cannot be updated because AutoRemove",
        ),
    ],
)
def test_conflicts(host: dict[str, Any], asked: dict[str, Any], text: str) -> None:
    with pytest.raises(errdefs.Conflict, match=text):
        merge(HostConfig(**host), HostConfig(**asked))


def test_no_conflicts() -> None:
    assert merge(HostConfig(memory_swap=5), HostConfig(memory=6, memory_swap=7)).memory == 6
    policy = RestartPolicy(name="no")
    assert merge(HostConfig(auto_remove=True), HostConfig(restart_policy=policy)).restart_policy == policy


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({}, {}),
        ({"restart_policy": RestartPolicy(name="always")}, {}),
        ({"memory": 7, "memory_swap": -1}, {"memory": {"limit": 7, "swap": -1}}),
        ({"memory_swap": -1}, {}),
        ({"memory_swappiness": 5, "oom_kill_disable": True}, {}),
        ({"nano_cpus": 500_000_000}, {"cpu": {"quota": 50_000, "period": 100_000}}),
        ({"pids_limit": 0}, {"pids": {"limit": -1}}),
        ({"blkio_weight": 300}, {"blockIO": {"weight": 300}}),
    ],
)
def test_what_the_runtime_is_sent(asked: dict[str, Any], sent: dict[str, Any]) -> None:
    host = HostConfig(**asked)
    assert live_resources(host, limits_of(host)) == sent


def test_devices_apart() -> None:
    def limits(**lists: tuple[DeviceLimit, ...]) -> Resources:
        return Resources(**lists)  # type: ignore[arg-type]

    def device(minor: int, value: int) -> DeviceLimit:
        return DeviceLimit(major=8, minor=minor, value=value)

    before = limits(blkio_read_bps=(device(0, 10), device(1, 20)), blkio_write_iops=(device(0, 5),))
    after = limits(blkio_read_bps=(device(0, 10), device(2, 30)), blkio_write_iops=(device(0, 6),))
    assert block_changes(before, before) == []
    assert block_changes(before, after) == [
        BlockLimit("read_bps", 8, 1, 0),
        BlockLimit("read_bps", 8, 2, 30),
        BlockLimit("write_iops", 8, 0, 6),
    ]
