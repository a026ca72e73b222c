"""What the kernel says of a container: read on the host by the number of its first process, asked of no daemon."""

import os
from pathlib import Path

from runtime import cgroups
from runtime.mount import MountEntry, mountinfo

UNLIMITED = "unlimited"


def limits(pid: int) -> dict[str, tuple[str, str]]:
    """Soft and hard limits by their names in /proc/<pid>/limits ("Max open files")."""
    lines = _proc(pid, "limits").splitlines()
    at = lines[0].index("Soft Limit")
    return {line[:at].strip(): (line[at:].split()[0], line[at:].split()[1]) for line in lines[1:]}


def status(pid: int) -> dict[str, str]:
    """The lines of /proc/<pid>/status by their names."""
    pairs = (line.partition(":") for line in _proc(pid, "status").splitlines())
    return {name: value.strip() for name, _, value in pairs}


def name(pid: int) -> str:
    """What its program is called, "" where there is no such process."""
    try:
        return _proc(pid, "comm").strip()
    except (FileNotFoundError, ProcessLookupError):  # the latter when it goes between the open and the read
        return ""


def oom_score_adj(pid: int) -> int:
    """How much sooner the kernel kills it."""
    return int(_proc(pid, "oom_score_adj"))


def namespace(pid: int | str, kind: str) -> str:
    """Which namespace it is in: "ipc:[4026531839]"."""
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def of_host(pid: int, kind: str) -> bool:
    """Whether it is in the host's namespace of that kind."""
    return namespace(pid, kind) == namespace("self", kind)


def cgroup(pid: int, file_name: str) -> str:
    """The text of a file of its control group: "pids.max", "cpu.shares"."""
    paths = cgroups.paths(pid)
    folder = (
        paths.get(cgroups.UNIFIED) if cgroups.detect().version == 2 else paths.get(file_name.split(".")[0])
    )
    assert folder is not None, file_name
    return (folder / file_name).read_text().strip()


def group_folders(group: str) -> list[Path]:
    """Where a control group is, in every hierarchy that has it."""
    found = {Path(mount.path) / group.lstrip("/") for mount in cgroups.mount_points().values()}
    return [folder for folder in found if folder.is_dir()]


def mounts(pid: int) -> dict[str, MountEntry]:
    """The mounts that it sees, the uppermost of each place."""
    return {entry.target: entry for entry in mountinfo(pid)}


def flags(pid: int, target: str) -> set[str]:
    """The options of a mount that it sees, those of its file system, and how it propagates ("shared:1")."""
    entry = mounts(pid)[target]
    return {*entry.options.split(","), *entry.super_options.split(","), *entry.propagation}


def file(pid: int, path: str) -> str:
    """The text of a file as it sees it."""
    return Path(f"/proc/{pid}/root{path}").read_text()


def _proc(pid: int, entry: str) -> str:
    return Path(f"/proc/{pid}/{entry}").read_text()
