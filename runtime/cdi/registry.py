"""All CDI devices of this host. Blocks: directories of the host are read, and nothing of them is kept."""

import os
from collections.abc import Iterator, Sequence

import msgspec

from runtime.cdi.nouns import Device, Spec
from runtime.cdi.spec import MAX_BYTES, parse


class Found(msgspec.Struct, frozen=True):
    """A device and the spec that it is of."""

    device: Device
    spec: Spec


class Registry(msgspec.Struct, frozen=True):
    """Devices by their full names ("vendor.com/class=name"), and what is wrong with which file."""

    devices: dict[str, Found] = msgspec.field(default_factory=dict)
    errors: list[tuple[str, str]] = msgspec.field(default_factory=list)

    @property
    def vendors(self) -> frozenset[str]:
        """Of all the devices."""
        return frozenset(name.partition("/")[0] for name in self.devices)


class _Origin(msgspec.Struct, frozen=True):
    path: str
    priority: int


def scan(directories: Sequence[str]) -> Registry:
    """Look at every spec file. A later directory goes before an earlier one; a name twice in one is of nobody."""
    registry = Registry()
    origins: dict[str, _Origin] = {}
    for priority, directory in enumerate(directories):
        for path in _files(directory, registry.errors):
            spec = _read(path, registry.errors)
            if spec is None:
                continue
            for device in spec.devices:
                name = f"{spec.kind}={device.name}"
                before, here = origins.get(name), _Origin(path, priority)
                if before is not None and before.priority == priority:
                    text = f'conflicting device "{name}" (specs "{path}", "{before.path}")'
                    registry.errors.extend([(path, text), (before.path, text)])
                    registry.devices.pop(name, None)
                    continue
                origins[name] = here
                registry.devices[name] = Found(device, spec)
    return registry


def _files(directory: str, errors: list[tuple[str, str]]) -> Iterator[str]:
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return
    except OSError as error:
        errors.append((directory, f"failed to read: {error.strerror}"))
        return
    for name in names:
        path = os.path.join(directory, name)
        if name.endswith((".json", ".yaml")) and not os.path.isdir(path):
            yield path


def _read(path: str, errors: list[tuple[str, str]]) -> Spec | None:
    try:
        content = _content(path)
        return parse(content, is_json=path.endswith(".json"))
    except FileNotFoundError:
        return None  # gone meanwhile
    except OSError as error:
        errors.append((path, f'failed to load CDI Spec failed to read CDI Spec "{path}": {error.strerror}'))
    except ValueError as error:
        errors.append((path, f"failed to load CDI Spec {error}"))
    return None


def _content(path: str) -> bytes:
    """Its bytes, never waiting for a writer; ValueError for more than a spec has."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"failed to parse: larger than {MAX_BYTES} bytes")
    return content
