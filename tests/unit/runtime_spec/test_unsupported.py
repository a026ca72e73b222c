"""What a host cannot limit is dropped with Docker's words."""

from typing import Any

import pytest

from errdefs import InvalidArgument
from runtime.cgroups import HostCapabilities, check_cpuset, discard

EVERYTHING = HostCapabilities(
    **{name: True for name in HostCapabilities.__struct_fields__ if name not in ("cpus", "mems")},
    cpus="0-3",
    mems="0",
)
ASKED: dict[str, Any] = {
    "memory": 64,
    "memory_swap": 128,
    "memory_swappiness": 3,
    "memory_reservation": 32,
    "oom_kill_disable": True,
    "pids_limit": 5,
    "cpu_shares": 6,
    "cpu_period": 7,
    "cpu_quota": 0,
    "cpuset_cpus": "0",
    "cpuset_mems": "",
    "blkio_weight": 8,
    "blkio_weight_device": [1],
    "blkio_device_read_bps": [1],
    "blkio_device_write_bps": [1],
    "blkio_device_read_iops": [1],
    "blkio_device_write_iops": [1],
}


def test_a_host_that_can_changes_nothing() -> None:
    assert discard(ASKED, EVERYTHING) == ({}, [])


def test_a_host_that_cannot_drops_everything() -> None:
    changes, warnings = discard(ASKED, HostCapabilities())
    assert changes.keys() == ASKED.keys()
    assert {changes[name] for name in ("memory", "memory_swap", "pids_limit")} == {0, -1, None}
    assert len(warnings) == 14  # without memory nothing is left to say about swap
    assert warnings[0] == (
        "Your kernel does not support memory limit capabilities or the cgroup is not mounted. "
        "Limitation discarded."
    )


def test_swap_alone() -> None:
    changes, warnings = discard({"memory": 64, "memory_swap": 128}, HostCapabilities(memory_limit=True))
    assert changes == {"memory_swap": -1}
    (warning,) = warnings
    assert warning.startswith("Your kernel does not support swap limit capabilities")
    assert warning.endswith("Memory limited without swap.")


def test_what_asks_for_nothing_is_not_warned_about() -> None:
    asked = {"memory": 0, "memory_swap": -1, "oom_kill_disable": False, "pids_limit": -1, "cpu_shares": 0}
    assert discard(asked, HostCapabilities()) == ({"oom_kill_disable": None, "pids_limit": None}, [])


@pytest.mark.parametrize("asked", ["", "0", "0-3", "1,3,1-2"])
def test_cpusets(asked: str) -> None:
    check_cpuset(asked, "0-3", "cpus")


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("4", "^Requested CPUs are not available - requested 4, available: 0-3$"),
        ("0-8192", "^Requested CPUs are not available"),
        ("1-999999999", "^Invalid value 1-999999999 for cpuset cpus: value of out range, maximum is 8192$"),
        ("3-1", "^Invalid value 3-1 for cpuset cpus: invalid format: 3-1$"),
        ("a", "invalid format"),
        ("0,", "invalid format"),
        ("1" * 5000, "invalid format"),
        ("-1", "invalid format"),
    ],
)
def test_bad_cpusets(asked: str, text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        check_cpuset(asked, "0-3", "cpus")


def test_memory_nodes() -> None:
    with pytest.raises(InvalidArgument, match=r"^Requested memory nodes are not available"):
        check_cpuset("1", "0", "mems")
