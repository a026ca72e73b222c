"""Limits of CPU, memory and processes, as the container's control groups have them; the same after an update."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runtime import cgroups
from tests import kernel
from tests.daemon import Wherryd
from tests.integration.host_config.conftest import Run, require_refused

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        cgroups.detect().version != 1, reason="of cgroup v1; those of v2 are tests of the machine"
    ),
]

MIB = 1 << 20
UNLIMITED = str((1 << 63) - 4096)


def groups(pid: int, *names: str) -> list[str]:
    return [kernel.cgroup(pid, name) for name in names]


def test_cpu(run: Run) -> None:
    box = run(
        {"CpuShares": 512, "CpuPeriod": 50_000, "CpuQuota": 25_000, "CpusetCpus": "0", "CpusetMems": "0"}
    )
    names = ("cpu.shares", "cpu.cfs_period_us", "cpu.cfs_quota_us", "cpuset.cpus", "cpuset.mems")
    assert groups(box.pid, *names) == ["512", "50000", "25000", "0", "0"]
    assert kernel.status(box.pid)["Cpus_allowed_list"] == "0"
    box.update(CpuShares=300, CpuPeriod=20_000, CpuQuota=10_000, CpusetCpus="1")
    assert groups(box.pid, *names) == ["300", "20000", "10000", "1", "0"]
    assert kernel.status(box.pid)["Cpus_allowed_list"] == "1"
    shown = box.inspect()["HostConfig"]
    assert [shown[name] for name in ("CpuShares", "CpuPeriod", "CpuQuota", "CpusetCpus")] == [
        300,
        20_000,
        10_000,
        "1",
    ]


def test_cpu_time(run: Run) -> None:
    cases: list[tuple[dict[str, int], str, str]] = [
        ({"NanoCpus": 750_000_000}, "75000", "100000"),
        ({"CpuQuota": -1}, "-1", "100000"),
        ({"CpuPeriod": 1000}, "-1", "1000"),
        ({}, "-1", "100000"),
    ]
    for asked, quota, period in cases:
        box = run(asked)
        assert groups(box.pid, "cpu.cfs_quota_us", "cpu.cfs_period_us") == [quota, period]
        if not asked:
            box.update(NanoCpus=500_000_000)
            assert groups(box.pid, "cpu.cfs_quota_us", "cpu.cfs_period_us") == ["50000", "100000"]


def test_realtime(start_daemon: Any, tmp_path: Path) -> None:
    """A group of real-time time is in one that has it: the daemon gives it to those above."""
    top = tmp_path.name.replace("_", "-")
    daemon: Wherryd = start_daemon("--cpu-rt-period", "1000000", "--cpu-rt-runtime", "20000")
    asked = {"CgroupParent": f"/{top}/deep", "CpuRealtimePeriod": 500_000, "CpuRealtimeRuntime": 5_000}
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "none", **asked}}
    identifier = daemon.call("POST", "/containers/create", body).json["Id"]
    assert daemon.call("POST", f"/containers/{identifier}/start").status == 204
    pid = daemon.get(f"/containers/{identifier}/json").json["State"]["Pid"]
    group = cgroups.paths(pid)["cpu"]
    try:
        names = ("cpu.rt_period_us", "cpu.rt_runtime_us")
        assert groups(pid, *names) == ["500000", "5000"]
        assert [(group.parent / name).read_text() for name in names] == ["1000000\n", "20000\n"]
        changed = daemon.call("POST", f"/containers/{identifier}/update", {"CpuRealtimeRuntime": 4_000})
        assert changed.status == 200, changed.body
        assert groups(pid, *names) == ["500000", "4000"]
    finally:
        daemon.call("DELETE", f"/containers/{identifier}?force=1")
        for folder in kernel.group_folders(f"/{top}/deep") + kernel.group_folders(f"/{top}"):
            folder.rmdir()


def test_memory(run: Run) -> None:
    box = run(
        {
            "Memory": 64 * MIB, "MemorySwap": 96 * MIB, "MemoryReservation": 32 * MIB, "MemorySwappiness": 7,
            "OomKillDisable": True, "OomScoreAdj": 77,
        }
    )  # fmt: skip
    names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes")
    assert groups(box.pid, *names) == [str(64 * MIB), str(96 * MIB), str(32 * MIB)]
    assert kernel.cgroup(box.pid, "memory.swappiness") == "7"
    assert "oom_kill_disable 1" in kernel.cgroup(box.pid, "memory.oom_control")
    assert kernel.oom_score_adj(box.pid) == 77
    box.update(Memory=80 * MIB, MemorySwap=128 * MIB, MemoryReservation=40 * MIB)
    assert groups(box.pid, *names) == [str(80 * MIB), str(128 * MIB), str(40 * MIB)]


def test_memory_and_swap(run: Run) -> None:
    for asked, memory, both in (
        ({"Memory": 64 * MIB}, str(64 * MIB), str(128 * MIB)),
        ({"Memory": 64 * MIB, "MemorySwap": 64 * MIB}, str(64 * MIB), str(64 * MIB)),
        ({"Memory": 64 * MIB, "MemorySwap": -1}, str(64 * MIB), UNLIMITED),
        ({"Memory": (1 << 63) - 1, "MemoryReservation": -1}, UNLIMITED, UNLIMITED),
        ({"MemorySwap": -1}, UNLIMITED, UNLIMITED),
    ):
        names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        assert groups(run(asked).pid, *names) == [memory, both], asked


def test_memory_and_swap_up_and_down(run: Run) -> None:
    """The kernel wants the one limit below the other at every moment, so the order of the two changes."""
    box = run({"Memory": 64 * MIB, "MemorySwap": 64 * MIB})
    names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
    for memory, both in ((128, 128), (32, 40), (96, 200), (50, -1), (60, 60)):
        box.update(Memory=memory * MIB, MemorySwap=both if both < 0 else both * MIB)
        expected = [str(memory * MIB), UNLIMITED if both < 0 else str(both * MIB)]
        assert groups(box.pid, *names) == expected


def test_another_restart_policy(run: Run) -> None:
    """It counts for the process that runs already."""
    box = run({})
    box.update(RestartPolicy={"Name": "on-failure", "MaximumRetryCount": 3})
    os.kill(box.pid, signal.SIGKILL)
    second = box.until(lambda shown: shown["State"]["Pid"] not in (0, box.pid))
    assert second["RestartCount"] == 1
    box.update(RestartPolicy={"Name": "no"})
    os.kill(second["State"]["Pid"], signal.SIGKILL)
    last = box.until(lambda shown: shown["State"]["Status"] == "exited")
    assert last["HostConfig"]["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}


def test_processes(run: Run) -> None:
    for asked, limit in ((20, "20"), (0, "max"), (-1, "max"), (None, "max")):
        box = run({"PidsLimit": asked})
        assert kernel.cgroup(box.pid, "pids.max") == limit
    for then, limit in ((33, "33"), (-1, "max"), (34, "34"), (0, "max")):
        box.update(PidsLimit=then)
        assert kernel.cgroup(box.pid, "pids.max") == limit


@pytest.mark.parametrize("limit", [1, 3, 5])
def test_execs_where_few_processes_are_allowed(run: Run, limit: int) -> None:
    """The runtime has threads of its own on the way, which do not count here; at a container's start they do."""
    box = run({"PidsLimit": 100})
    box.update(PidsLimit=limit)
    for number in range(15):
        assert box.shell(f"echo {number}") == f"{number}\n"
    assert kernel.cgroup(box.pid, "pids.max") == str(limit)


def test_many_execs_where_few_processes_are_allowed(run: Run) -> None:
    """However many there are at once, and however they end, the limit is what it was told to be last."""
    box = run({"PidsLimit": 12})
    kinds = (["sh", "-c", "echo $$"], ["no-such-program"], ["sh", "-c", "exit 3"], ["cat", "/etc/passwd"])

    def exec_(number: int) -> int:
        return box.daemon.docker("exec", box.id, *kinds[number % 4], check=False).returncode

    with ThreadPoolExecutor(8) as pool:
        ended = pool.map(exec_, range(32))
        box.update(PidsLimit=13)
        assert list(ended) == [0, 127, 3, 0] * 8
    assert kernel.cgroup(box.pid, "pids.max") == "13"


def test_an_update_of_one_that_does_not_run(run: Run, wherryd: Wherryd) -> None:
    """It counts from the next start on."""
    box = run({"Memory": 64 * MIB})
    assert wherryd.call("POST", f"/containers/{box.id}/stop?t=0").status == 204
    box.update(CpuShares=300, PidsLimit=9, Memory=80 * MIB, MemorySwap=80 * MIB, CpusetCpus="1")
    assert wherryd.call("POST", f"/containers/{box.id}/start").status == 204
    pid = box.inspect()["State"]["Pid"]
    names = ("cpu.shares", "pids.max", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "cpuset.cpus")
    assert groups(pid, *names) == ["300", "9", str(80 * MIB), str(80 * MIB), "1"]


def test_what_cannot_be(wherryd: Wherryd) -> None:
    require_refused(
        wherryd,
        ({"Memory": MIB}, "Minimum memory limit allowed is 6MB"),
        (
            {"Memory": 64 * MIB, "MemorySwap": 32 * MIB},
            "Minimum memoryswap limit should be larger than memory limit",
        ),
        ({"MemorySwap": 64 * MIB}, "You should always set the Memory limit when using Memoryswap limit"),
        ({"CpusetCpus": "0-99"}, "Requested CPUs are not available - requested 0-99, available: "),
        ({"CpusetCpus": "1-0"}, "Invalid value 1-0 for cpuset cpus"),
        ({"CpusetMems": "7"}, "Requested memory nodes are not available"),
        ({"CpuPeriod": 1}, "CPU cfs period can not be less than 1ms"),
        ({"NanoCpus": 1, "CpuQuota": 5000}, "Nano CPUs and CPU Quota cannot both be set"),
        ({"NanoCpus": 10**15}, "Range of CPUs is from 0.01 to "),
        ({"CpuRealtimePeriod": -1}, "invalid CPU real-time period (-1)"),
        ({"CpuRealtimeRuntime": -1}, "invalid CPU real-time runtime (-1)"),
        (
            {"CpuRealtimePeriod": 1000, "CpuRealtimeRuntime": 2000},
            "cpu real-time runtime cannot be higher than cpu real-time period",
        ),
        ({"OomScoreAdj": 1001}, "Invalid value 1001, range for oom score adj is [-1000, 1000]"),
    )
