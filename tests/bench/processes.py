"""The processes that work for a daemon, and what they use."""

from pathlib import Path


def processes(root: Path) -> list[int]:
    """The pids of a daemon's processes, found by its root: daemon, containerd, zygote, shims.

    Those inside containers are not among them.
    """
    names = (path.name for path in Path("/proc").iterdir())
    return [int(name) for name in names if name.isdigit() and _serves(Path("/proc", name), str(root))]


def _serves(process: Path, root: str) -> bool:
    try:
        lines = (process / "mountinfo").read_text().splitlines()
        if any(f"upperdir={root}" in line for line in lines if line.split()[4] == "/"):
            return False
        if root in (process / "cmdline").read_bytes().decode(errors="replace"):
            return True
        return any(str(fd.readlink()).startswith(root) for fd in (process / "fd").iterdir())
    except OSError:
        return False


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
    """The CPU-seconds that the threads of a process have had; 0 when it is gone."""
    try:
        stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    except OSError:
        return 0.0
    return sum(int(stat.split()[0]) for stat in stats) / 1e9
