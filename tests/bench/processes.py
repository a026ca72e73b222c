"""The processes that work for a daemon, and what they use."""

import time
from pathlib import Path


def processes(root: Path) -> list[int]:
    """The pids of a daemon's processes: daemon, containerd, zygote, shims. Those inside containers are not among them.

    They are found by the daemon's root in their command or open files, and their children by their parents.
    """
    every = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    parents = {pid: parent(pid) for pid in every}
    found = {pid for pid in every if _names(pid, str(root))}
    while more := {pid for pid, its in parents.items() if its in found and pid not in found}:
        found |= more
    return [pid for pid in found if not _contained(pid, str(root))]


def parent(pid: int) -> int:
    """The pid of a process's parent, 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _names(pid: int, root: str) -> bool:
    process = Path(f"/proc/{pid}")
    try:
        if root in (process / "cmdline").read_bytes().decode(errors="replace"):
            return True
        return any(str(fd.readlink()).startswith(root) for fd in (process / "fd").iterdir())
    except OSError:
        return False


def _contained(pid: int, root: str) -> bool:
    try:
        lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    except OSError:
        return True
    return any(f"upperdir={root}" in line for line in lines if line.split()[4] == "/")


def pss(root: Path) -> int:
    """The kB of PSS of a daemon's processes."""
    total = 0
    for pid in processes(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def cpu(root: Path) -> float:
    """The CPU-seconds that a daemon's processes have had, their children that ended not counted."""
    return sum(map(cpu_of, processes(root)))


def cpu_of(pid: int) -> float:
    """The CPU-seconds that a process has had with all its threads, also those that ended; 0 when it is gone."""
    clock = ~pid << 3 | 2  # what clock_getcpuclockid(3) returns
    try:
        return time.clock_gettime(clock)
    except OSError:
        return 0.0
