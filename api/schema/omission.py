"""Which empty fields Docker leaves out of its answers: Go's `omitempty`, noun by noun.

A field that is not listed is always there, as null, [], {}, "", 0 or false. Of a pointer (a field whose
default is None) only null counts as empty; of everything else the zero value too.
"""

from functools import cache
from typing import Any

import msgspec

from api.schema.remembered import Remembered
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

_PLAIN = frozenset({str, int, bool, float, type(None)})
_REMEMBERED = 1000


def shape(value: Any) -> Any:
    """A noun, or what holds nouns, as plain values: Docker's names, and nothing that Docker leaves out."""
    if isinstance(value, msgspec.Struct):
        return _struct(value)
    if isinstance(value, (list, tuple)):
        return [shape(item) for item in value]
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return value


class Shapes:
    """Shapes of nouns that never change and are asked for again and again, as long as the nouns are there."""

    def __init__(self) -> None:
        self._known: Remembered[dict[str, Any]] = Remembered(_REMEMBERED)

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._known)

    def of(self, noun: msgspec.Struct) -> dict[str, Any]:
        """A copy that may be changed, but not what is in it. The noun's kind is one that can be held weakly."""
        shaped = self._known.of(noun)
        if shaped is None:
            shaped = _struct(noun)
            self._known.keep(noun, shaped)
        return shaped.copy()


@cache
def _fields(noun: type[msgspec.Struct]) -> list[tuple[str, bool, Any]]:
    """Of each field: Docker's name, whether it is left out when empty, and its default.

    msgspec reads the annotations anew at every question, which costs more than all else of an answer.
    """
    omitted = OMITTED.get(noun, frozenset())
    fields = msgspec.structs.fields(noun)
    return [(each.encode_name, each.encode_name in omitted, each.default) for each in fields]


def _struct(noun: msgspec.Struct) -> dict[str, Any]:
    shaped = {}
    values = msgspec.structs.astuple(noun)
    for value, (name, omitted, default) in zip(values, _fields(type(noun)), strict=True):
        if not (omitted and _empty(value, default)):
            shaped[name] = value if type(value) in _PLAIN else shape(value)
    return shaped


def _empty(value: object, default: object) -> bool:
    if value is None or value in ([], {}):
        return True
    return default is not None and value in (0, "", False)
