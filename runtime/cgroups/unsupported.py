"""Limits that were asked for and that this host cannot set: Docker drops them and says so, and what is unwise."""

import re
from collections.abc import Mapping

from errdefs import InvalidArgument
from runtime.cgroups.host import HostCapabilities

_MAX_CPUS = 8192  # the kernel's own largest NR_CPUS: a longer range is a way to eat our memory
_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
_WINDOWS = "cpu_percent"  # no host of ours has it
_OOM = (
    "OOM killer is disabled for the container, but no memory limit is set, "
    "this can result in the system running out of resources."
)
_NO, _NOR = "Your kernel does not support", "or the cgroup is not mounted."

# (what the host must have, what fields are set to when it has not, Docker's warning), as Docker looks.
_TABLE: tuple[tuple[str, dict[str, object], str], ...] = (
    (
        "memory_limit",
        {"memory": 0, "memory_swap": -1},
        f"{_NO} memory limit capabilities {_NOR} Limitation discarded.",
    ),
    ("swap_limit", {"memory_swap": -1}, f"{_NO} swap limit capabilities {_NOR} Memory limited without swap."),
    (
        "memory_swappiness",
        {"memory_swappiness": None},
        f"{_NO} memory swappiness capabilities {_NOR} Memory swappiness discarded.",
    ),
    (
        "memory_reservation",
        {"memory_reservation": 0},
        f"{_NO} memory soft limit capabilities {_NOR} Limitation discarded.",
    ),
    ("oom_kill_disable", {"oom_kill_disable": None}, f"{_NO} OomKillDisable. OomKillDisable discarded."),
    ("pids_limit", {"pids_limit": None}, f"{_NO} PIDs limit capabilities {_NOR} PIDs limit discarded."),
    ("cpu_shares", {"cpu_shares": 0}, f"{_NO} CPU shares {_NOR} Shares discarded."),
    (
        "cpu_cfs_quota",
        {"cpu_period": 0, "cpu_quota": 0},
        f"{_NO} CPU CFS scheduler. CPU period/quota discarded.",
    ),
    (_WINDOWS, {"cpu_percent": 0}, "linux does not support CPU percent. Percent discarded."),
    ("cpu_set", {"cpuset_cpus": "", "cpuset_mems": ""}, f"{_NO} cpuset {_NOR} Cpuset discarded."),
    ("blkio_weight", {"blkio_weight": 0}, f"{_NO} Block I/O weight {_NOR} Weight discarded."),
    (
        "blkio_weight_device",
        {"blkio_weight_device": []},
        f"{_NO} Block I/O weight_device {_NOR} Weight-device discarded.",
    ),
    (
        "blkio_read_bps",
        {"blkio_device_read_bps": []},
        f"{_NO} BPS Block I/O read limit {_NOR} Block I/O BPS read limit discarded.",
    ),
    (
        "blkio_write_bps",
        {"blkio_device_write_bps": []},
        f"{_NO} BPS Block I/O write limit {_NOR} Block I/O BPS write limit discarded.",
    ),
    (
        "blkio_read_iops",
        {"blkio_device_read_iops": []},
        f"{_NO} IOPS Block read limit {_NOR} Block I/O IOPS read limit discarded.",
    ),
    (
        "blkio_write_iops",
        {"blkio_device_write_iops": []},
        f"{_NO} IOPS Block write limit {_NOR} Block I/O IOPS write limit discarded.",
    ),
)


def discard(asked: Mapping[str, object], host: HostCapabilities) -> tuple[dict[str, object], list[str]]:
    """Return what of a HostConfig is to be changed for this host, and Docker's warnings for it.

    `asked` is by field name in snake case ("memory_swap", "blkio_device_read_bps"), with Docker's defaults
    filled in; a field that is absent is not asked for. What asks for nothing (0, -1, false, empty) is not
    warned about, and taken away where absence is the neutral value.
    """
    changes: dict[str, object] = {}
    warnings: list[str] = []
    for capability, resets, warning in _TABLE:
        now = {**asked, **changes}
        if getattr(host, capability, False):
            if capability == "oom_kill_disable" and now.get(capability) and not now.get("memory"):
                warnings.append(_OOM)
            continue
        if any(_asks(now.get(name)) for name in resets):
            warnings.append(warning)
            changes |= resets
        else:
            changes |= {
                name: None
                for name, value in resets.items()
                if value is None and asked.get(name) not in (None, [])
            }
    return changes, warnings


def check_cpuset(asked: str, available: str, what: str) -> None:
    """Raise InvalidArgument when a list such as "0-2,5" is malformed or not all in `available`.

    `what` is "cpus" or "mems"; `available` is HostCapabilities.cpus or .mems. "" asks for nothing.
    """
    wanted = _numbers(asked, what)
    if not wanted <= _numbers(available, what):
        name = "CPUs" if what == "cpus" else "memory nodes"
        raise InvalidArgument(
            f"Requested {name} are not available - requested {asked}, available: {available}"
        )


def _numbers(text: str, what: str) -> set[int]:
    result: set[int] = set()
    for part in text.split(",") if text else ():
        match = _RANGE.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise InvalidArgument(f"Invalid value {text} for cpuset {what}: invalid format: {text}")
        if last > _MAX_CPUS:
            raise InvalidArgument(
                f"Invalid value {text} for cpuset {what}: value of out range, maximum is {_MAX_CPUS}"
            )
        result.update(range(first, last + 1))
    return result


def _asks(value: object) -> bool:
    return bool(value) and value != -1
