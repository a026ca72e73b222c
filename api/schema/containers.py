"""Containers as inspect and list show them, by API version."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from api.schema import networking
from api.schema.omission import Shapes
from api.schema.status import human
from api.schema.times import go_time
from api.versions import Version
from engine.containers.container import Container
from engine.containers.oci import apparmor_profile
from engine.containers.state import Status
from engine.health.health import Health
from runtime.spec import masked
from volumes.mount_point import MountPoint

_LEGACY_BRIDGE = (
    "EndpointID",
    "Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "IPAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "MacAddress",
)
_NUMBERS = frozenset({"GlobalIPv6PrefixLen", "IPPrefixLen"})
_shapes = Shapes()


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer tells beyond the record: places, the snapshotter, and what containers are called now.

    `called` gives the name of a container by its ID, "" for one that is gone.
    """

    data_root: Path
    exec_root: Path
    driver: str
    called: Callable[[str], str]


def inspect(
    container: Container, around: Surroundings, version: Version, exec_ids: Sequence[str], log_path: str
) -> dict[str, Any]:
    """The answer of `GET /containers/{id}/json`, without sizes."""
    shown: dict[str, Any] = {
        "Id": container.id,
        "Created": go_time(container.created),
        "Path": container.path,
        "Args": container.args,
        "State": _state(container),
        "Image": container.image_id,
        **_files(container, around),
        "LogPath": log_path if container.starts else "",
        "Name": f"/{container.name}",
        "RestartCount": container.restart_count,
        "Driver": around.driver,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": apparmor_profile(container.host_config) or "",
        "ExecIDs": exec_ids or None,
        "HostConfig": _host_config(container, around, version),
        "Mounts": [_mount(mount) for mount in container.mounts],
        "Config": _config(container, version),
        "NetworkSettings": _network_settings(container, around, version),
        **_image_manifest(container, version),
    }
    if version.before("1.52"):
        shown["GraphDriver"] = {"Name": around.driver, "Data": None}
    else:
        shown["Storage"] = {"RootFS": {"Snapshot": {"Name": around.driver}}}
    return shown


def summary(
    container: Container, names: Sequence[str], version: Version, image_name: str, now: int | None = None
) -> dict[str, Any]:
    """An entry of `GET /containers/json`, without sizes. `names` is what it and its image (`image_name`) go by now."""
    host: dict[str, Any] = {"NetworkMode": networking.mode(container)}
    if container.host_config.annotations and not version.before("1.46"):
        host["Annotations"] = container.host_config.annotations
    shown: dict[str, Any] = {
        "Id": container.id,
        "Names": names,
        "Image": image_name,
        "ImageID": container.image_id,
        "Command": _command(container),
        "Created": container.created // 1_000_000_000,
        "Ports": networking.port_summaries(container),
        "Labels": container.config.labels or {},
        "State": container.state.status.value,
        "Status": human(container.state, now),
        "HostConfig": host,
        "NetworkSettings": {"Networks": networking.network_summaries(container, version)},
        "Mounts": [_mount(mount) for mount in container.mounts],
        **_image_manifest(container, version),
    }
    if not version.before("1.52"):
        health = container.state.health
        shown["Health"] = {
            "Status": health.status.value if health is not None else "none",
            "FailingStreak": health.failing_streak if health is not None else 0,
        }
    return shown


def _image_manifest(container: Container, version: Version) -> dict[str, Any]:
    """The manifest of the image that it was made from, where it was noted."""
    if container.image_manifest is None or version.before("1.48"):
        return {}
    shown = msgspec.to_builtins(container.image_manifest)
    shown["platform"] = {key: value for key, value in shown.get("platform", {}).items() if value}
    return {"ImageManifestDescriptor": shown}


def _state(container: Container) -> dict[str, Any]:
    state = container.state
    health = {} if state.health is None else {"Health": _health(state.health)}
    return {
        "Status": state.status.value,
        "Running": state.status in (Status.RUNNING, Status.PAUSED, Status.RESTARTING),
        "Paused": state.status is Status.PAUSED,
        "Restarting": state.status is Status.RESTARTING,
        "OOMKilled": state.oom_killed,
        "Dead": state.status is Status.DEAD,
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": go_time(state.started_at),
        "FinishedAt": go_time(state.finished_at),
        **health,
    }


def _health(health: Health) -> dict[str, Any]:
    return {
        "Status": health.status.value,
        "FailingStreak": health.failing_streak,
        "Log": [
            {
                "Start": go_time(result.start),
                "End": go_time(result.end),
                "ExitCode": result.exit_code,
                "Output": result.output,
            }
            for result in health.log
        ],
    }


def _files(container: Container, around: Surroundings) -> dict[str, str]:
    """The container's own files; they are there from the first start on."""
    names = {"ResolvConfPath": "resolv.conf", "HostnamePath": "hostname", "HostsPath": "hosts"}
    if not container.starts:
        return dict.fromkeys(names, "")
    directory = f"{around.data_root}/containers/{container.id}"
    return {field: f"{directory}/{name}" for field, name in names.items()}


def _config(container: Container, version: Version) -> dict[str, Any]:
    config = container.config
    shown = _shapes.of(config)
    shown["Labels"] = config.labels or {}
    shown["Volumes"] = config.volumes or None
    shown.pop("MacAddress", None)
    if version.before("1.52"):
        asked = container.networks.get(networking.mode(container))
        mac = (asked.mac_address if asked else "") or config.mac_address
        if mac:
            shown["MacAddress"] = mac
    elif not config.on_build:
        del shown["OnBuild"]
    return shown


def _host_config(container: Container, around: Surroundings, version: Version) -> dict[str, Any]:
    host = container.host_config
    shown = _shapes.of(host)
    shown["NetworkMode"] = networking.mode(container)
    shown["Links"] = [
        f"/{around.called(each.id) or each.name}:/{container.name}/{each.alias}" for each in container.links
    ] or None
    if not host.privileged:
        if host.masked_paths is None:
            shown["MaskedPaths"] = [*masked.MASKED, *masked.thermal_paths()]
        if host.readonly_paths is None:
            shown["ReadonlyPaths"] = [*masked.READONLY]
    shown["ConsoleSize"] = host.console_size or [0, 0]
    shown["LogConfig"] = {**shown["LogConfig"], "Config": host.log_config.config or {}}
    if not version.before("1.52"):
        shown.pop("KernelMemory", None)
        shown.pop("KernelMemoryTCP", None)
    return shown


def _mount(mount: MountPoint) -> dict[str, Any]:
    shown = {
        "Type": mount.type,
        "Name": mount.name,
        "Source": mount.source,
        "Destination": mount.destination,
        "Driver": mount.driver,
        "Mode": mount.mode,
        "RW": mount.rw,
        "Propagation": mount.propagation,
    }
    return {key: value for key, value in shown.items() if value or key not in ("Type", "Name", "Driver")}


def _network_settings(container: Container, around: Surroundings, version: Version) -> dict[str, Any]:
    networks = networking.networks(container, version)
    if version.before("1.45"):
        networking.add_id_aliases(container, networks)
    sandbox = container.sandbox_id
    shown: dict[str, Any] = {
        "SandboxID": sandbox,
        "SandboxKey": f"{around.exec_root}/netns/{_sandbox_name(container)}" if sandbox else "",
        "Ports": networking.ports(container),
        "Networks": networks,
    }
    return _legacy_settings(networks) | shown if version.before("1.52") else shown


def _sandbox_name(container: Container) -> str:
    """Docker's name of the host's own network is "default"."""
    return "default" if container.host_config.network_mode == "host" else container.sandbox_id[:12]


def _legacy_settings(networks: dict[str, Any]) -> dict[str, Any]:
    bridge = networks.get("bridge", {})
    shown: dict[str, Any] = {
        "Bridge": "",
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
    }
    for field in _LEGACY_BRIDGE:
        shown[field] = bridge.get(field, 0 if field in _NUMBERS else "")
    return shown


def _command(container: Container) -> str:
    quoted = [f"'{word}'" if " " in word else word for word in container.args]
    return " ".join([container.path, *quoted])
