"""Device nodes of a container and the device cgroup's rules."""

import os
import re
import stat
from collections.abc import Iterator
from typing import Any

import msgspec

from errdefs import InvalidArgument

_RULE = re.compile(r"([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})")
_MAX_NUMBER = (1 << 63) - 1
_NOT_LISTED = frozenset({"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"})
_KINDS = {stat.S_IFBLK: "b", stat.S_IFCHR: "c", stat.S_IFIFO: "p"}


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A node to be made in the container: `kind` is "c", "b" or "p", `mode` the permission bits."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int = 0o666
    uid: int = 0
    gid: int = 0

    def to_oci(self) -> dict[str, Any]:
        """Return the spec's linux.devices entry."""
        return {
            "path": self.path,
            "type": self.kind,
            "major": self.major,
            "minor": self.minor,
            "fileMode": self.mode,
            "uid": self.uid,
            "gid": self.gid,
        }


class DeviceRule(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the device cgroup: `major` and `minor` None where not said, -1 for any."""

    allow: bool = True
    kind: str = ""
    major: int | None = None
    minor: int | None = None
    access: str = "rwm"

    def to_oci(self) -> dict[str, Any]:
        """Return the spec's linux.resources.devices entry."""
        entry: dict[str, Any] = {"allow": self.allow, "access": self.access}
        if self.kind:
            entry["type"] = self.kind
        if self.major is not None:
            entry["major"] = self.major
        if self.minor is not None:
            entry["minor"] = self.minor
        return entry


def _char(major: int, minor: int, *, allow: bool = True) -> DeviceRule:
    return DeviceRule(allow=allow, kind="c", major=major, minor=minor)


DEFAULT_RULES: tuple[DeviceRule, ...] = (
    DeviceRule(allow=False),
    _char(1, 5),  # zero
    _char(1, 3),  # null
    _char(1, 9),  # urandom
    _char(1, 8),  # random
    _char(5, 0),  # tty
    _char(5, 1),  # console
    _char(10, 229, allow=False),  # fuse
)
"""What a container that is not privileged starts from; runc itself adds full, pts, ptmx and mknod."""

EVERYTHING: tuple[DeviceRule, ...] = (DeviceRule(),)
"""What a privileged container has."""


def parse_rule(rule: str) -> DeviceRule:
    """Return a --device-cgroup-rule such as "c 10:* rwm"; InvalidArgument with Docker's text."""
    match = _RULE.fullmatch(rule)
    if match is None:
        raise InvalidArgument(f"invalid device cgroup rule format: '{rule}'")
    kind, major, minor, access = match.groups()
    return DeviceRule(
        kind=kind, major=_number(major, "major", rule), minor=_number(minor, "minor", rule), access=access
    )


def from_host(
    path_on_host: str, path_in_container: str, permissions: str = "rwm"
) -> tuple[list[Device], list[DeviceRule]]:
    """Return the nodes and rules for a --device mapping: a node (links followed) or a directory of nodes.

    Reads the host's file system. InvalidArgument with Docker's text when nothing there is a device.
    """
    if "\0" in path_on_host:
        raise InvalidArgument(_gathering(path_on_host, "invalid argument"))
    real = os.path.realpath(path_on_host) if os.path.islink(path_on_host) else path_on_host
    try:
        found = list(_collect(real, path_in_container))
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise InvalidArgument(_gathering(path_on_host, reason)) from error
    if not found:
        raise InvalidArgument(_gathering(path_on_host, "not a device node"))
    return found, [_rule_for(device, permissions) for device in found]


def host_devices(root: str = "/dev") -> list[Device]:
    """Return every node under /dev as a privileged container gets it: no fifo, no console, no pts or shm."""
    found: list[Device] = []
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _NOT_LISTED:
                found.extend(host_devices(entry.path))
        elif entry.name != "console":
            device = _node(entry.path, entry.path)
            if device is not None and device.kind != "p":
                found.append(device)
    return found


def _number(value: str, name: str, rule: str) -> int:
    if value == "*":
        return -1
    if len(value) > 19 or int(value) > _MAX_NUMBER:
        raise InvalidArgument(f"invalid {name} value in device cgroup rule format: '{rule}'")
    return int(value)


def _gathering(path: str, reason: str) -> str:
    return f'error gathering device information while adding custom device "{path}": {reason}'


def _rule_for(device: Device, permissions: str) -> DeviceRule:
    return DeviceRule(kind=device.kind, major=device.major, minor=device.minor, access=permissions)


def _collect(path: str, shown_as: str) -> Iterator[Device]:
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        device = _node(path, shown_as)
        if device is not None:
            yield device
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        for name in sorted(names):
            inside = os.path.join(folder, name)
            device = _node(inside, shown_as + inside[len(path) :])
            if device is not None:
                yield device


def _node(path: str, shown_as: str) -> Device | None:
    """Return the device at `path`, None for anything else; a node that has just gone is none either."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    kind = _KINDS.get(stat.S_IFMT(found.st_mode))
    if kind is None:
        return None
    return Device(
        path=shown_as,
        kind=kind,
        major=os.major(found.st_rdev),
        minor=os.minor(found.st_rdev),
        mode=stat.S_IMODE(found.st_mode),
        uid=found.st_uid,
        gid=found.st_gid,
    )
