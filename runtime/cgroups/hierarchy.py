"""Where this host's control groups are, and what a container's is called."""

import os
import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from errdefs import InvalidArgument, NotFound

ROOT = Path("/sys/fs/cgroup")
UNIFIED = ""
"""The key of the v2 hierarchy in a mapping of controllers, as in /proc/<pid>/cgroup."""

PARENT = "/docker"
"""The group above those of containers that name none, by the cgroupfs driver."""

_MAX_PARENT = 3072
"""What is left of the kernel's 4096 bytes for a path when the mount, our own group and the container's are told."""

Driver = Literal["cgroupfs", "systemd"]


class Hierarchy(msgspec.Struct, frozen=True, kw_only=True):
    """How this host is set up: `version` 1 also for hybrid, `systemd` when systemd is the init that runs."""

    version: Literal[1, 2]
    systemd: bool


class MountPoint(msgspec.Struct, frozen=True):
    """Where a hierarchy is mounted. `root`: the group that is mounted there, not "/" inside another container."""

    path: str
    root: str

    def directory(self, group: str) -> Path | None:
        """Return the directory of a group; None for one outside of what is mounted here."""
        relative = os.path.relpath(group, self.root)
        return None if relative.startswith("..") else Path(self.path, relative)


def detect() -> Hierarchy:
    """Return the version that containers live in and whether systemd can be asked for scopes."""
    unified = mount_points().get(UNIFIED)
    return Hierarchy(
        version=2 if unified is not None and unified.path == str(ROOT) else 1,
        systemd=Path("/run/systemd/system").is_dir(),
    )


def default_driver(hierarchy: Hierarchy) -> Driver:
    """Return Docker's choice: systemd on v2 where it runs, else cgroupfs."""
    return "systemd" if hierarchy.version == 2 and hierarchy.systemd else "cgroupfs"


def check_parent(parent: str, driver: str) -> None:
    """Raise InvalidArgument for what cannot be the group above a container's; "" is Docker's default."""
    if parent and driver == "systemd" and not parent.endswith(".slice"):
        raise InvalidArgument('cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"')
    if ".." in parent.split("/") or "\0" in parent:
        raise InvalidArgument(f"invalid cgroup parent: {parent}")
    if len(parent.encode()) > _MAX_PARENT:
        raise InvalidArgument(f"invalid cgroup parent: it is longer than {_MAX_PARENT} bytes")


def path_for(container_id: str, parent: str, driver: Driver) -> str:
    """Return the spec's cgroupsPath; `parent` is HostConfig.CgroupParent, "" for Docker's default.

    cgroupfs: "/docker/<id>" or "<parent>/<id>". systemd: "<slice>:docker:<id>", by which the scope is called
    docker-<id>.scope. Tools find container ids by these names. InvalidArgument for a parent that is no slice.
    """
    check_parent(parent, driver)
    if driver == "systemd":
        return f"{parent or 'system.slice'}:docker:{container_id}"
    return posixpath.normpath(posixpath.join(parent or PARENT, container_id))


def paths(pid: int) -> dict[str, Path]:
    """Return the directory of every hierarchy that `pid` is in, by controller; UNIFIED for v2.

    Raises NotFound when there is no such process. Groups outside of what is mounted here are left out.
    """
    try:
        text = Path(f"/proc/{pid}/cgroup").read_text("utf-8", "surrogateescape")
    except (FileNotFoundError, ProcessLookupError) as error:
        raise NotFound(f"process {pid} does not exist") from error
    mounts = mount_points()
    found = {
        name: mounts[name].directory(group)
        for name, group in parse_membership(text).items()
        if name in mounts
    }
    return {name: path for name, path in found.items() if path is not None}


def parse_membership(text: str) -> dict[str, str]:
    """Return group paths by controller from the text of /proc/<pid>/cgroup; named ones as "name=systemd"."""
    result: dict[str, str] = {}
    for line in text.splitlines():
        _, names, group = line.split(":", 2)
        result.update(dict.fromkeys(names.split(","), group))
    return result


def controllers(hierarchy: Hierarchy) -> Mapping[str, Path]:
    """Return the mount point of every controller that containers can use."""
    if hierarchy.version == 1:
        return {name: Path(mount.path) for name, mount in mount_points().items() if name != UNIFIED}
    return dict.fromkeys((ROOT / "cgroup.controllers").read_text().split(), ROOT)


def mount_points() -> dict[str, MountPoint]:
    """Return the cgroup mounts of this process's mount namespace, by controller; the first one counts."""
    result: dict[str, MountPoint] = {}
    for line in Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines():
        fields = line.split(" ")
        kind, _, options = fields[fields.index("-") + 1 :][:3]
        mount = MountPoint(path=fields[4], root=fields[3])
        if kind == "cgroup2":
            result.setdefault(UNIFIED, mount)
        elif kind == "cgroup":
            for name in options.split(","):
                result.setdefault(name, mount)
    return result
