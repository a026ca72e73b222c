"""Control groups of both kinds: v1 (also hybrid) and v2."""

from runtime.cgroups.control import Cgroup, freeze, frozen, kill_all, of, pids, thaw
from runtime.cgroups.hierarchy import UNIFIED, Driver, Hierarchy, default_driver, detect, path_for, paths
from runtime.cgroups.host import HostCapabilities, capabilities_of_host
from runtime.cgroups.moves import Moves
from runtime.cgroups.unsupported import check_cpuset, discard

__all__ = [
    "UNIFIED",
    "Cgroup",
    "Driver",
    "Hierarchy",
    "HostCapabilities",
    "Moves",
    "capabilities_of_host",
    "check_cpuset",
    "default_driver",
    "detect",
    "discard",
    "freeze",
    "frozen",
    "kill_all",
    "of",
    "path_for",
    "paths",
    "pids",
    "thaw",
]
