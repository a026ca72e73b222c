"""The control groups of a container: what the kernel killed there for want of memory, and whether they are
gone.
"""

from __future__ import annotations

import functools
import os
import select

from runtime.shim.epoll import Loop

_CHUNK = 4096


class Counter:
    """A counter in an events file of v2, followed as it changes.

    Asking at the end may be too late: systemd removes a scope as soon as it is empty.
    """

    def __init__(self, loop: Loop, path: str, name: str) -> None:
        """Raises OSError when there is no such file."""
        self.highest = 0
        self._name = name
        self._loop = loop
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._changed(self._fd, 0)
        if self._fd >= 0:
            loop.watch(self._fd, select.EPOLLPRI, self._changed)

    def _changed(self, fd: int, _events: int) -> None:
        """Read the file again, which also has the kernel tell the next change."""
        try:
            self.highest = max(self.highest, _find(os.pread(fd, 4096, 0).decode(), self._name))
        except OSError:  # the group was removed
            self._loop.forget(fd)
            os.close(fd)
            self._fd = -1


class Cgroups:
    """The groups that a process is in, with their directories."""

    def __init__(self, loop: Loop, pid: int, container_id: str) -> None:
        """Raises OSError when the process has ended, also if nobody has reaped it: it is in no group of v1 then."""
        self._container_id = container_id
        self._membership = read_file(f"/proc/{pid}/cgroup")
        os.readlink(f"/proc/{pid}/exe")
        self._counter: Counter | None = None
        unified = "" if "memory" in _mounts() else self._folders.get("", "")
        if unified:
            try:
                self._counter = Counter(loop, f"{unified}/memory.events", "oom_kill")
            except OSError:  # no memory controller there
                pass

    @property
    def _folders(self) -> dict[str, str]:
        """A directory for each controller of v1, and for "", v2. Found when asked for: most containers just run."""
        return _folders(self._membership)

    @property
    def own(self) -> frozenset[str]:
        """The directories of the groups that are this container's alone."""
        named = (
            folder for folder in self._folders.values() if self._container_id in os.path.basename(folder)
        )
        return frozenset(named)

    def folder(self, controller: str) -> str:
        """The directory of the group of that controller, "" for none; of v2's, where it is not one of v1's."""
        folders = self._folders
        return folders.get(controller, folders.get("", ""))

    def processes(self) -> list[int]:
        """The processes in them, as far as they can be read."""
        found: set[int] = set()
        for folder in self.own:
            try:
                found.update(map(int, read_file(f"{folder}/cgroup.procs").split()))
            except OSError:  # it was removed, or has threads of its own
                continue
        return sorted(found)

    def oom_killed(self) -> bool:
        """Tell whether the kernel killed a process of the memory group; to be asked before the group is
        removed.
        """
        if self._counter is not None and self._counter.highest > 0:
            return True
        name = "memory.oom_control" if "memory" in self._folders else "memory.events"
        folder = self.folder("memory")
        try:
            return _find(read_file(f"{folder}/{name}"), "oom_kill") > 0
        except OSError:
            return False

    def remove(self) -> bool:
        """Remove the container's groups, as far as they are empty. False when one is left, or none was known."""
        own = self.own
        left = False
        for folder in own:
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                continue
            except OSError:
                left = True
        return bool(own) and not left


def _find(text: str, name: str) -> int:
    """Return the number behind `name` in lines of names and numbers, 0 when it is not there."""
    for line in text.splitlines():
        if line.startswith(name + " "):
            return int(line.split()[1])
    return 0


def _folders(membership: str) -> dict[str, str]:
    """Return the directories of the groups in a /proc/PID/cgroup."""
    mounts = _mounts()
    folders: dict[str, str] = {}
    for line in membership.splitlines():
        _, controllers, group = line.split(":", 2)
        for controller in controllers.split(","):
            if controller in mounts:
                point, root = mounts[controller]
                below = group if root == "/" else group.removeprefix(root)
                folders[controller] = f"{point}/{below.strip('/')}"
    return folders


@functools.cache
def _mounts() -> dict[str, tuple[str, str]]:
    """Return the mount point, and the group that is mounted there, for each controller of v1, and for "", v2.

    Read once, in the zygote: the daemon looks for them when it starts, too.
    """
    found: dict[str, tuple[str, str]] = {}
    for line in read_file("/proc/self/mountinfo").splitlines():
        mount, _, source = line.partition(" - cgroup")
        if not source:
            continue
        fields = source.split()
        names = [""] if source.startswith("2 ") else fields[-1].split(",")
        root, point = mount.split()[3:5]
        for name in names:
            found.setdefault(name, (point, root))
    return found


def read_file(path: str) -> str:
    """Read a whole file of the kernel's. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, _CHUNK):
            parts.append(part)
        return b"".join(parts).decode("utf-8", "surrogateescape")
    finally:
        os.close(fd)
