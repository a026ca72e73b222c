"""Control groups of both kinds: v1 (also hybrid) and v2."""

from runtime.cgroups.control import Cgroup, freeze, frozen, kill_all, of, pids, thaw
from runtime.cgroups.hierarchy import (
    PARENT,
    UNIFIED,
    Driver,
    Hierarchy,
    check_parent,
    default_driver,
    detect,
    mount_points,
    path_for,
    paths,
)
from runtime.cgroups.host import HostCapabilities, capabilities_of_host
from runtime.cgroups.moves import Moves
from runtime.cgroups.realtime import share_realtime
from runtime.cgroups.unsupported import check_cpuset, discard

__all__ = [
    "PARENT",
    "UNIFIED",
    "Cgroup",
    "Driver",
    "Hierarchy",
    "HostCapabilities",
    "Moves",
    "capabilities_of_host",
    "check_cpuset",
    "check_parent",
    "default_driver",
    "detect",
    "discard",
    "freeze",
    "frozen",
    "kill_all",
    "mount_points",
    "of",
    "path_for",
    "paths",
    "pids",
    "share_realtime",
    "thaw",
]
