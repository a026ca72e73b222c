"""Which empty fields Docker leaves out of its answers: Go's `omitempty`, noun by noun.

A field that is not listed is always there, as null, [], {}, "", 0 or false. Of a pointer (a field whose
default is None) only null counts as empty; of everything else the zero value too.
"""

from typing import Any

import msgspec

from engine.containers import config

OMITTED: dict[type[msgspec.Struct], frozenset[str]] = {
    config.ContainerConfig: frozenset(
        {
            "ExposedPorts",
            "Healthcheck",
            "ArgsEscaped",
            "NetworkDisabled",
            "MacAddress",
            "StopSignal",
            "StopTimeout",
            "Shell",
        }
    ),
    config.Healthcheck: frozenset({"Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"}),
    config.HostConfig: frozenset(
        {
            "Annotations",
            "Init",
            "KernelMemory",
            "KernelMemoryTCP",
            "Mounts",
            "Runtime",
            "StorageOpt",
            "Sysctls",
            "Tmpfs",
        }
    ),
    config.Mount: frozenset(
        {
            "Type",
            "Source",
            "Target",
            "ReadOnly",
            "Consistency",
            "BindOptions",
            "VolumeOptions",
            "ImageOptions",
            "TmpfsOptions",
        }
    ),
    config.BindOptions: frozenset(
        {"Propagation", "NonRecursive", "CreateMountpoint", "ReadOnlyNonRecursive", "ReadOnlyForceRecursive"}
    ),
    config.VolumeOptions: frozenset({"NoCopy", "Labels", "Subpath", "DriverConfig"}),
    config.DriverConfig: frozenset({"Name", "Options"}),
    config.ImageOptions: frozenset({"Subpath"}),
    config.TmpfsOptions: frozenset({"SizeBytes", "Mode", "Options"}),
    config.EndpointIPAM: frozenset({"IPv4Address", "IPv6Address", "LinkLocalIPs"}),
}


def shape(value: Any) -> Any:
    """A noun, or what holds nouns, as plain values: Docker's names, and nothing that Docker leaves out."""
    if isinstance(value, msgspec.Struct):
        return _struct(value)
    if isinstance(value, (list, tuple)):
        return [shape(item) for item in value]
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return value


def _struct(noun: msgspec.Struct) -> dict[str, Any]:
    omitted = OMITTED.get(type(noun), frozenset())
    shaped = {}
    for field in msgspec.structs.fields(noun):
        value = getattr(noun, field.name)
        if field.encode_name in omitted and _empty(value, field.default):
            continue
        shaped[field.encode_name] = shape(value)
    return shaped


def _empty(value: object, default: object) -> bool:
    if value is None or value in ([], {}):
        return True
    return default is not None and value in (0, "", False)
