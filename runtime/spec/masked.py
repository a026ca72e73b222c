"""Paths of /proc and /sys that a container must not see, or must not write."""

from functools import cache
from pathlib import Path

MASKED: tuple[str, ...] = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",  # keystroke timing of other tenants, GHSA-6fw5-f8r9-fgfm
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",  # power as a side channel, GHSA-jq35-85cj-fj4p
    "/sys/firmware",
)
"""Hidden in every container that is not privileged: Docker's list of today."""

READONLY: tuple[str, ...] = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)
"""Readable, never writable, in every container that is not privileged."""


@cache
def thermal_paths(cpus: Path = Path("/sys/devices/system/cpu")) -> tuple[str, ...]:
    """Return the thermal_throttle directories of this host's CPUs, by CPU number; hidden like MASKED.

    They tell a container what its neighbours compute (GHSA-6fw5-f8r9-fgfm). The set of possible CPUs does
    not change while the host is up, so it is read once.
    """
    found = cpus.glob("cpu[0-9]*/thermal_throttle")
    return tuple(str(path) for path in sorted(found, key=lambda path: int(path.parent.name[3:])))
