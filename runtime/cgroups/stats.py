"""Reading what a container uses, again and again: the files of its control group stay open in between.

A file that a kernel does not have counts as empty. Everything here blocks (files of the kernel).
"""

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from errdefs import NotFound
from runtime.cgroups import usage
from runtime.cgroups.control import folder_of
from runtime.cgroups.hierarchy import UNIFIED, paths

_MAX_FILE = 1 << 16
_V1 = {
    "cpuacct": ("cpuacct.usage", "cpuacct.usage_percpu", "cpuacct.stat"),
    "cpu": ("cpu.stat",),
    "memory": (
        "memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.limit_in_bytes", "memory.failcnt", "memory.stat",
    ),
    "blkio": ("blkio.throttle.io_service_bytes", "blkio.throttle.io_serviced"),
    "pids": ("pids.current", "pids.max"),
}  # fmt: skip
_V2 = (
    "cpu.stat", "memory.current", "memory.max", "memory.events", "memory.stat", "io.stat", "pids.current", "pids.max",
)  # fmt: skip


class Meter:
    """Reads the group of one container; made by `open`, and to be closed."""

    def __init__(self, files: Mapping[str, int], version: int) -> None:
        self._files = dict(files)
        self._version = version

    @classmethod
    def open(cls, pid: int) -> "Meter":
        """The meter of the container whose init is `pid`. NotFound when there is no such process."""
        found = paths(pid)
        version = 1 if "memory" in found or "cpuacct" in found else 2
        files: dict[str, int] = {}
        for controller, names in _V1.items() if version == 1 else ((UNIFIED, _V2),):
            if (path := found.get(controller)) is not None:
                files |= _open(folder_of(path, controller), names)
        return cls(files, version)

    def read(self) -> usage.Usage:
        """What is used now. NotFound when the group is gone."""
        if not self._files:
            raise NotFound("the control group is gone")
        return self._read_v1() if self._version == 1 else self._read_v2()

    def close(self) -> None:
        """Close the files."""
        while self._files:
            os.close(self._files.popitem()[1])

    def _read_v1(self) -> usage.Usage:
        text = self._text
        total, per_cpu, ticks = map(text, _V1["cpuacct"])
        return usage.Usage(
            cpu=usage.cpu_v1(total, per_cpu, ticks, text("cpu.stat")),
            memory=usage.memory_v1(*map(text, _V1["memory"])),
            block=usage.block_v1(*map(text, _V1["blkio"])),
            pids=usage.number(text("pids.current")),
            pids_limit=usage.number(text("pids.max")),
        )

    def _read_v2(self) -> usage.Usage:
        text = self._text
        return usage.Usage(
            cpu=usage.cpu_v2(text("cpu.stat")),
            memory=usage.memory_v2(*map(text, _V2[1:5])),
            block=usage.block_v2(text("io.stat")),
            pids=usage.number(text("pids.current")),
            pids_limit=usage.number(text("pids.max"), usage.UNLIMITED),
        )

    def _text(self, name: str) -> bytes:
        fd = self._files.get(name)
        if fd is None:
            return b""
        try:
            return os.pread(fd, _MAX_FILE, 0)
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise NotFound("the control group is gone") from error
            return b""


def _open(folder: Path, names: tuple[str, ...]) -> dict[str, int]:
    opened = {}
    for name in names:
        try:
            opened[name] = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue  # another kernel, or the group is gone: `read` will tell
    return opened


def read_system_cpu() -> tuple[int, int]:
    """CPU time of the whole host in nanoseconds, and its online CPUs."""
    return usage.system_cpu(Path("/proc/stat").read_bytes())


def memory_of_machine() -> int:
    """Bytes of memory that the host has: what limits a container without a limit."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0
