"""Control groups of both kinds: v1 (also hybrid) and v2."""

from runtime.cgroups.control import Cgroup, freeze, frozen, kill_all, of, pids, thaw
from runtime.cgroups.hierarchy import Driver, Hierarchy, default_driver, detect, path_for, paths
from runtime.cgroups.host import HostCapabilities, capabilities_of_host

__all__ = [
    "Cgroup",
    "Driver",
    "Hierarchy",
    "HostCapabilities",
    "capabilities_of_host",
    "default_driver",
    "detect",
    "freeze",
    "frozen",
    "kill_all",
    "of",
    "path_for",
    "paths",
    "pids",
    "thaw",
]
