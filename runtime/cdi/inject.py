"""Giving CDI devices to a container: changes of its OCI spec. Looks at device nodes of the host."""

import os
import stat
from collections.abc import Sequence
from typing import Any

from runtime.cdi.nouns import DeviceNode, Edits, Hook, IntelRdt, Mount, Spec
from runtime.cdi.registry import Registry
from runtime.spec.environment import override

_KINDS = {stat.S_IFBLK: "b", stat.S_IFCHR: "c", stat.S_IFIFO: "p"}


class Unresolved(Exception):  # noqa: N818 - a device that is not what its spec says, or has none
    """A device cannot be given; the text says why, in the words of CDI's library."""


def inject(spec: dict[str, Any], registry: Registry, names: Sequence[str]) -> None:
    """Change config.json so that the container gets these devices; `Unresolved` if it cannot."""
    missing = [name for name in names if name not in registry.devices]
    if missing:
        raise Unresolved(f"unresolvable CDI devices {', '.join(missing)}")
    for edits in _edits(registry, names):
        _apply(spec, edits)


def _edits(registry: Registry, names: Sequence[str]) -> list[Edits]:
    """In order: what a spec gives to all its devices comes once, before the first of them."""
    found: list[Edits] = []
    seen: list[Spec] = []
    for name in names:
        one = registry.devices[name]
        if not any(one.spec is each for each in seen):
            seen.append(one.spec)
            found.append(one.spec.container_edits)
        found.append(one.device.container_edits)
    return found


def _apply(spec: dict[str, Any], edits: Edits) -> None:
    process, linux = spec["process"], spec["linux"]
    if edits.env:
        process["env"] = override(process["env"], edits.env)
    for node in edits.device_nodes:
        _add_node(linux, node, process["user"])
    for interface in edits.net_devices:
        linux.setdefault("netDevices", {})[interface.host_interface_name] = {"name": interface.name}
    if edits.mounts:
        _add_mounts(spec, edits.mounts)
    for hook in edits.hooks:
        spec.setdefault("hooks", {}).setdefault(hook.hook_name, []).append(_hook(hook))
    if edits.intel_rdt is not None:
        linux["intelRdt"] = _class(edits.intel_rdt)
    groups = [*process["user"]["additionalGids"], *filter(None, edits.additional_gids)]
    process["user"]["additionalGids"] = list(dict.fromkeys(groups))


def _add_node(linux: dict[str, Any], node: DeviceNode, user: dict[str, Any]) -> None:
    device = _device(node)
    for owner in ("uid", "gid"):
        if owner not in device and user[owner]:
            device[owner] = user[owner]
    linux["devices"] = [*(each for each in linux["devices"] if each["path"] != node.path), device]
    if device["type"] in ("b", "c"):
        access = "" if node.permissions == "none" else node.permissions or "rwm"
        rule = {name: device[name] for name in ("type", "major", "minor")}
        linux["resources"]["devices"].append({"allow": True, "access": access, **rule})


def _device(node: DeviceNode) -> dict[str, Any]:
    """The spec's linux.devices entry, filled up from the host's node where it does not say all."""
    whole = node.type != "" and (node.major != 0 or node.type == "p")
    kind, major, minor, mode = node.type, node.major, node.minor, node.file_mode
    path = node.host_path or node.path
    try:
        found = os.lstat(path)
        kind_there = _KINDS.get(stat.S_IFMT(found.st_mode))
        if kind_there is None:
            raise OSError(0, "not a device node")
    except OSError as error:
        if not whole:
            reason = (error.strerror or "").lower()
            raise Unresolved(
                f'failed to inject devices: failed to stat CDI host device "{path}": {reason}'
            ) from error
    else:
        mode = stat.S_IMODE(found.st_mode) if mode is None else mode
        if not whole:
            kind = kind or kind_there
            if kind != kind_there:
                raise Unresolved(
                    f'failed to inject devices: CDI device ("{node.path}", "{path}"), host type mismatch '
                    f"({kind}, {kind_there})"
                )
            if kind != "p" and major == 0:
                major, minor = os.major(found.st_rdev), os.minor(found.st_rdev)
    device: dict[str, Any] = {"path": node.path, "type": kind, "major": major, "minor": minor}
    said = {"fileMode": mode, "uid": node.uid, "gid": node.gid}
    return device | {name: value for name, value in said.items() if value is not None}


def _add_mounts(spec: dict[str, Any], mounts: Sequence[Mount]) -> None:
    """They take the place of what is mounted there, and come after what is above them."""
    for mount in mounts:
        spec["mounts"] = [each for each in spec["mounts"] if each["destination"] != mount.container_path]
        entry: dict[str, Any] = {"source": mount.host_path, "destination": mount.container_path}
        said = {"type": mount.type, "options": list(mount.options)}
        spec["mounts"].append(entry | {name: value for name, value in said.items() if value})
    spec["mounts"].sort(key=lambda each: os.path.normpath(each["destination"]).count("/"))


def _hook(hook: Hook) -> dict[str, Any]:
    said = {"args": hook.args, "env": hook.env, "timeout": hook.timeout}
    return {"path": hook.path} | {name: value for name, value in said.items() if value}


def _class(rdt: IntelRdt) -> dict[str, Any]:
    said = {
        "closID": rdt.clos_id,
        "l3CacheSchema": rdt.l3_cache_schema,
        "memBwSchema": rdt.mem_bw_schema,
        "schemata": rdt.schemata,
        "enableMonitoring": rdt.enable_monitoring,
    }
    return {name: value for name, value in said.items() if value}
