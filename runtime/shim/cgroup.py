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
        lines = _read(path).splitlines()
        return int(next(line for line in lines if line.startswith(name + " ")).split()[1])
    except (OSError, ValueError, StopIteration):
        return 0


def _folders(pid: int) -> dict[str, str]:
    """Return a directory for each controller of v1, and for "", v2."""
    mounts = _mounts()
    folders: dict[str, str] = {}
    for line in _read(f"/proc/{pid}/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        for controller in controllers.split(","):
            if controller in mounts:
                point, root = mounts[controller]
                below = group if root == "/" else group.removeprefix(root)
                folders[controller] = f"{point}/{below.strip('/')}"
    return folders


def _mounts() -> dict[str, tuple[str, str]]:
    """Return the mount point, and the group that is mounted there, for each controller of v1, and for "", v2."""
    found: dict[str, tuple[str, str]] = {}
    for line in _read("/proc/self/mountinfo").splitlines():
        mount, _, source = line.partition(" - cgroup")
        if not source:
            continue
        fields = source.split()
        names = [""] if source.startswith("2 ") else fields[-1].split(",")
        root, point = mount.split()[3:5]
        for name in names:
            found.setdefault(name, (point, root))
    return found


def _read(path: str) -> str:
    """Read a whole file of the kernel's. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 1 << 16):
            parts.append(part)
        return b"".join(parts).decode("utf-8", "surrogateescape")
    finally:
        os.close(fd)
