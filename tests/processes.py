"""All processes at one moment, from procfs, each file read once: a look at a hundred of them takes a few ms."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

_KERNEL_THREAD = 0x200000


@dataclass(frozen=True)
class Process:
    """What is read of a process when it is asked for; what a process that is gone had is empty."""

    pid: int
    parent: int
    started: str
    """Ticks since boot, as text."""
    comm: str

    @cached_property
    def command(self) -> str:
        """Its arguments, with spaces between them; its name where it has none."""
        return read(f"/proc/{self.pid}/cmdline").replace("\0", " ").strip() or self.comm

    @cached_property
    def files(self) -> list[str]:
        """What its descriptors are."""
        return targets(f"/proc/{self.pid}/fd")

    @property
    def mount_namespace(self) -> str:
        """Its mount namespace."""
        return target(f"/proc/{self.pid}/ns/mnt")

    @property
    def root_mount(self) -> str:
        """The line of mountinfo of what it has as /."""
        lines = read(f"/proc/{self.pid}/mountinfo").splitlines()
        return next((line for line in lines if line.split()[4] == "/"), "")


def processes() -> dict[int, Process]:
    """All but the kernel's own threads, by process id."""
    return {found.pid: found for found in map(_process, os.listdir("/proc")) if found}


def _process(name: str) -> Process | None:
    if not name.isdigit() or not (stat := read(f"/proc/{name}/stat")):
        return None
    head, _, rest = stat.rpartition(")")
    fields = rest.split()
    if int(fields[6]) & _KERNEL_THREAD:
        return None
    return Process(int(name), int(fields[1]), fields[19], head.partition("(")[2])


def descendants(of: int, every: dict[int, Process]) -> Iterator[int]:
    """Yield the process ids of all that a process started, and that those started."""
    for pid, process in every.items():
        above = process.parent
        while above and above != of:
            above = every[above].parent if above in every else 0
        if above:
            yield pid


def read(path: str) -> str:
    """A file of procfs or cgroupfs; "" when it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        parts = []
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
        return b"".join(parts).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def target(link: str) -> str:
    """What a link points to; "" when it is gone."""
    try:
        return os.readlink(link)
    except OSError:
        return ""


def targets(directory: str) -> list[str]:
    """The targets of all links in a directory of procfs; what vanishes meanwhile is left out."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return [found for name in names if (found := target(f"{directory}/{name}"))]
