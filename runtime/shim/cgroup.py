"""Whether the kernel killed something in a container for want of memory. Read before runc deletes the
cgroup.
"""

from __future__ import annotations


def oom_file(pid: int) -> str:
    """Return the file that counts the OOM kills of the memory cgroup `pid` is in; "" when there is none."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        lines = [line.rstrip("\n").split(":", 2) for line in file]
    paths = {controller: path for _, controllers, path in lines for controller in controllers.split(",")}
    if "memory" in paths:
        return _join("cgroup", "memory", paths["memory"], "memory.oom_control")
    if "" in paths:
        return _join("cgroup2", "", paths[""], "memory.events")
    return ""


def was_killed(path: str) -> bool:
    """Tell whether the counter in `path` (of `oom_file`) is above zero."""
    if not path:
        return False
    try:
        with open(path, encoding="ascii") as file:
            counts = dict(line.split() for line in file)
    except (OSError, ValueError):
        return False
    return counts.get("oom_kill", "0") != "0"


def _join(kind: str, controller: str, path: str, name: str) -> str:
    """Return `name` in the cgroup `path`, below the mount point of its hierarchy."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            mount, _, source = line.partition(" - ")
            options = source.split()
            if options[0] != kind or (controller and controller not in options[2].split(",")):
                continue
            root, point = mount.split()[3:5]
            below = path.removeprefix(root) if root != "/" else path
            return f"{point}/{below.strip('/')}/{name}"
    return ""
