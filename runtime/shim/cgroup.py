"""The control groups of a container: what the kernel killed there for want of memory, and whether they are
gone.
"""

from __future__ import annotations

import os


class Cgroups:
    """The groups that a process is in, with their directories; to be made while it lives."""

    def __init__(self, pid: int, container_id: str) -> None:
        """Raises OSError when there is no such process."""
        self._container_id = container_id
        self._folders = _folders(pid)

    def oom_killed(self) -> bool:
        """Tell whether the kernel killed a process of the memory group; to be asked before the group is
        removed.
        """
        if "memory" in self._folders:
            return _count(self._folders["memory"] + "/memory.oom_control", "oom_kill") > 0
        return _count(self._folders.get("", "") + "/memory.events", "oom_kill") > 0

    def remove(self) -> None:
        """Remove the container's empty groups that the runtime did not: it finds none if its state was
        lost.
        """
        for folder in self._folders.values():
            if self._container_id in os.path.basename(folder):
                try:
                    os.rmdir(folder)
                except OSError:
                    continue


def _count(path: str, name: str) -> int:
    try:
        with open(path, encoding="ascii") as file:
            return int(dict(line.split() for line in file).get(name, "0"))
    except (OSError, ValueError):
        return 0


def _folders(pid: int) -> dict[str, str]:
    """Return a directory for each controller of v1, and for "", v2."""
    mounts = _mounts()
    folders: dict[str, str] = {}
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            _, controllers, group = line.rstrip("\n").split(":", 2)
            for controller in controllers.split(","):
                if controller in mounts:
                    point, root = mounts[controller]
                    below = group if root == "/" else group.removeprefix(root)
                    folders[controller] = f"{point}/{below.strip('/')}"
    return folders


def _mounts() -> dict[str, tuple[str, str]]:
    """Return the mount point, and the group that is mounted there, for each controller of v1, and for "",
    v2.
    """
    found: dict[str, tuple[str, str]] = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            mount, _, source = line.partition(" - ")
            kind, _, options = source.split()[:3]
            if kind == "cgroup2":
                names = [""]
            elif kind == "cgroup":
                names = options.split(",")
            else:
                continue
            root, point = mount.split()[3:5]
            for name in names:
                found.setdefault(name, (point, root))
    return found
