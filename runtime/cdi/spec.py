"""Reading a CDI spec: JSON or YAML, and whether it says what its version allows, in the words of CDI's library."""

import json
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from runtime.cdi.nouns import Device, DeviceNode, Edits, Hook, IntelRdt, NetDevice, Spec

MAX_BYTES = 4 << 20
HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
_VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0")
_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_DEVICE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?")
_MAX_ID = 1 << 32
_MAX_CLASS = 4096


def parse(content: bytes, *, is_json: bool) -> Spec:
    """The spec in a file; ValueError telling what is wrong with it."""
    try:
        spec = msgspec.convert(json.loads(content) if is_json else _from_yaml(content), Spec)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"failed to parse: {error}") from error
    _require_good(spec)
    return spec


def _from_yaml(content: bytes) -> Any:
    from runtime.cdi import plain_yaml  # nearly 2 MB and 19 ms, of no use to a host without such specs

    return plain_yaml.load(content)


def _require(good: object, text: str) -> None:
    if not good:
        raise ValueError(text)


def _require_good(spec: Spec) -> None:
    version = spec.cdi_version.removeprefix("v")
    _require(version in _VERSIONS, f'invalid version "{spec.cdi_version}"')
    least = _least_version(spec)
    _require(
        _VERSIONS.index(least) <= _VERSIONS.index(version), f"the spec version must be at least v{least}"
    )
    vendor, _, kind = spec.kind.partition("/")
    _require(_NAME.fullmatch(vendor), f'invalid vendor. "{vendor}" of kind "{spec.kind}"')
    _require(_NAME.fullmatch(kind), f'invalid class. "{kind}" of kind "{spec.kind}"')
    _require_good_edits(spec.container_edits)
    seen = set()
    for device in spec.devices:
        _require_good_device(device)
        _require(device.name not in seen, f'invalid spec, multiple device "{device.name}"')
        seen.add(device.name)
    _require(seen, "invalid spec, no devices")


def _require_good_device(device: Device) -> None:
    _require(_DEVICE.fullmatch(device.name), f'failed add device "{device.name}": invalid name')
    _require(
        device.container_edits != Edits(),
        f'failed add device "{device.name}": invalid device, empty device edits',
    )
    try:
        _require_good_edits(device.container_edits)
    except ValueError as error:
        raise ValueError(f'invalid device "{device.name}": {error}') from error


def _require_good_edits(edits: Edits) -> None:
    _require_good_env(edits.env, "invalid container edits")
    for node in edits.device_nodes:
        _require_good_node(node)
    for hook in edits.hooks:
        _require_good_hook(hook)
    for mount in edits.mounts:
        _require(mount.host_path, "invalid mount, empty host path")
        _require(mount.container_path, "invalid mount, empty container path")
    if edits.intel_rdt is not None:
        _require_good_class(edits.intel_rdt)
    _require_good_interfaces(edits.net_devices)
    for number in edits.additional_gids:
        _require(0 <= number < _MAX_ID, f"invalid additional group: {number}")


def _require_good_env(entries: Iterable[str], what: str) -> None:
    for entry in entries:
        _require(entry.find("=") > 0 and "\0" not in entry, f'{what}: invalid environment variable "{entry}"')


def _require_good_node(node: DeviceNode) -> None:
    _require(node.path and "\0" not in node.path + node.host_path, "invalid (empty) device path")
    _require(node.type in ("", "b", "c", "u", "p"), f'device "{node.path}": invalid type "{node.type}"')
    _require(
        node.permissions == "none" or not node.permissions.strip("rwm"),
        f'device "{node.path}": invalid permissions "{node.permissions}"',
    )
    numbers = (node.major, node.minor, node.file_mode or 0, node.uid or 0, node.gid or 0)
    _require(all(0 <= number < _MAX_ID for number in numbers), f'device "{node.path}": a number out of range')


def _require_good_hook(hook: Hook) -> None:
    _require(hook.hook_name in HOOKS, f'invalid hook name "{hook.hook_name}"')
    _require(hook.path, f'invalid hook "{hook.hook_name}" with empty path')
    _require_good_env(hook.env, f'invalid hook "{hook.hook_name}"')


def _require_good_class(rdt: IntelRdt) -> None:
    name = rdt.clos_id
    good = len(name) < _MAX_CLASS and name not in (".", "..") and "/" not in name and "\n" not in name
    _require(name == "/" or good, "invalid ClosID")


def _require_good_interfaces(interfaces: Iterable[NetDevice]) -> None:
    hosts, names = set(), set()
    for one in interfaces:
        host, name = one.host_interface_name, one.name
        _require(host, "invalid linux net device, empty HostInterfaceName")
        _require(name, "invalid linux net device, empty Name")
        _require(host not in hosts, f'invalid linux net device, duplicate HostInterfaceName "{host}"')
        _require(name not in names, f'invalid linux net device, duplicate Name "{name}"')
        hosts.add(host)
        names.add(name)


def _least_version(spec: Spec) -> str:
    """The first version that has all of what the spec uses."""
    edits = spec.all_edits()
    if any(_is_of_1_1(each) for each in edits):
        return "1.1.0"
    if any(each.intel_rdt is not None or each.additional_gids for each in edits):
        return "0.7.0"
    annotated = spec.annotations or any(device.annotations for device in spec.devices)
    if annotated or "." in spec.kind.partition("/")[2]:
        return "0.6.0"
    numbered = any(device.name[:1].isdecimal() for device in spec.devices)
    if numbered or any(node.host_path for each in edits for node in each.device_nodes):
        return "0.5.0"
    return "0.4.0" if any(mount.type for each in edits for mount in each.mounts) else "0.3.0"


def _is_of_1_1(edits: Edits) -> bool:
    rdt = edits.intel_rdt
    return bool(edits.net_devices) or (
        rdt is not None and (rdt.schemata is not None or rdt.enable_monitoring)
    )
