"""The body of a create request, and what each API version means by it.

Only what versions and the wire form decide happens here; whether the values make sense is the engine's.
"""

import posixpath
from typing import Any

import msgspec

import errdefs
from api import gojson
from api.schema import main_endpoint
from api.schema.endpoints import NetworkingSettings
from api.versions import Version
from engine.containers.config import (
    ContainerConfig,
    EndpointConfig,
    HostConfig,
    Mount,
    NetworkingConfig,
    PortBinding,
)

_UINT16 = range(2**16)
_UINT64 = range(2**64)
_WORDS = frozenset({"cmd", "entrypoint", "shell"})
_VOLUME_DRIVER_IGNORED = (
    "WARNING: the container-wide volume-driver configuration is ignored for volumes specified via 'mount'. "
    "Use '--mount type=volume,volume-driver=...' instead"
)


class CreateRequest(ContainerConfig):
    """The body as it is sent: a ContainerConfig with two more fields."""

    host_config: HostConfig | None = None
    networking_config: NetworkingSettings | None = None


class Request(msgspec.Struct, kw_only=True):
    """A create request taken apart, and what the client is to be told about it.

    `recursive_read_only` says whether a read-only bind that does not say otherwise covers the mounts below it.
    """

    config: ContainerConfig
    host: HostConfig
    networking: NetworkingConfig
    recursive_read_only: bool = True
    warnings: list[str] = msgspec.field(default_factory=list)


def parse(body: bytes, version: Version, *, cgroup_version: int = 2) -> Request:
    """Read a body as this version means it, on a host with that version of cgroups. InvalidArgument as Docker's."""
    raw = gojson.parse(body)
    if isinstance(raw, dict):
        raw = {key: _words(key, value) for key, value in raw.items()}
    sent = gojson.convert(raw, CreateRequest)
    if not _names_config(raw):
        raise errdefs.InvalidArgument("config cannot be empty in order to create a container")
    config = ContainerConfig(**{name: getattr(sent, name) for name in ContainerConfig.__struct_fields__})
    request = Request(
        config=config,
        host=sent.host_config or HostConfig(),
        networking=sent.networking_config.asked() if sent.networking_config else NetworkingConfig(),
    )
    _check_ranges(request.host)
    _normalize(request)
    _apply_version(request, version)
    if version.before("1.41") and cgroup_version == 1 and not request.host.cgroupns_mode:
        request.host.cgroupns_mode = "host"
    return request


def parse_config(body: bytes) -> ContainerConfig | None:
    """The config in the body of a commit; None for a body that says nothing of one."""
    raw = gojson.parse(body) if body.strip() else None
    if isinstance(raw, dict):
        raw = {key: _words(key, value) for key, value in raw.items()}
    config = gojson.convert(raw, ContainerConfig)
    return config if _names_config(raw) else None


def _words(key: str, value: Any) -> Any:
    """A command may be one string, as in early versions: it is one word then."""
    return [value] if isinstance(value, str) and key.casefold() in _WORDS else value


def _names_config(raw: Any) -> bool:
    if not isinstance(raw, dict):
        return False
    known = {name.casefold() for name in ContainerConfig.__struct_encode_fields__}
    return any(key.casefold() in known for key in raw)


def _check_ranges(host: HostConfig) -> None:
    """Numbers that Go holds without sign."""
    rates = [
        *(host.blkio_device_read_bps or ()),
        *(host.blkio_device_write_bps or ()),
        *(host.blkio_device_read_iops or ()),
        *(host.blkio_device_write_iops or ()),
    ]
    numbers = [("HostConfig.BlkioWeight", host.blkio_weight, _UINT16, "uint16")]
    numbers += [("HostConfig.BlkioDevice.Rate", each.rate, _UINT64, "uint64") for each in rates]
    numbers += [
        ("HostConfig.BlkioWeightDevice.Weight", each.weight, _UINT16, "uint16")
        for each in host.blkio_weight_device or ()
    ]
    numbers += [("HostConfig.ConsoleSize", size, _UINT64, "uint") for size in host.console_size or ()]
    for field, number, allowed, kind in numbers:
        if number not in allowed:
            raise errdefs.InvalidArgument(
                f"invalid JSON: json: cannot unmarshal number {number} into Go struct field "
                f"CreateRequest.{field} of type {kind}"
            )


def _normalize(request: Request) -> None:
    """What every version means alike: the default network by its name, no limit as null, a directory as it is."""
    host, endpoints = request.host, _endpoints(request)
    if host.network_mode in ("", "default"):
        host.network_mode = "bridge"
    if "default" in endpoints:
        endpoints["bridge"] = endpoints.pop("default")
    for name, endpoint in endpoints.items():
        if endpoint is None:
            raise errdefs.InvalidArgument(f"invalid config for network {name}: EndpointsConfig is nil")
    if host.pids_limit is not None and host.pids_limit <= 0:
        host.pids_limit = None
    if (folder := request.config.working_dir).startswith("/"):
        request.config.working_dir = posixpath.normpath("/" + folder.lstrip("/"))
    if host.console_size is not None:
        host.console_size = [*host.console_size, 0, 0][:2]


def _apply_version(request: Request, version: Version) -> None:
    config, host = request.config, request.host
    if version.before("1.40") and not host.ipc_mode:
        host.ipc_mode = "shareable"
    if version.before("1.42"):
        host.console_size = None
    if version.before("1.43"):
        host.annotations = None
    if version.before("1.44"):
        if config.healthcheck is not None:
            config.healthcheck.start_interval = 0
        _one_endpoint(request)
        request.recursive_read_only = False
    for mount in host.mounts or ():
        _mount(mount, version)
    if version.before("1.48"):
        for endpoint in _endpoints(request).values():
            if endpoint is not None:
                endpoint.gw_priority = 0
    else:
        _warn_of_volume_driver(request)
    if not version.before("1.42"):
        host.kernel_memory = 0
    if not version.before("1.52"):
        host.kernel_memory_tcp = 0
    endpoints = _endpoints(request)
    request.warnings += main_endpoint.mac_address(config, host, endpoints, version)
    request.warnings += main_endpoint.interface_sysctls(host, endpoints, version)
    _port_bindings(request, version)


def _endpoints(request: Request) -> dict[str, EndpointConfig | None]:
    if request.networking.endpoints_config is None:
        request.networking.endpoints_config = {}
    return request.networking.endpoints_config


def _one_endpoint(request: Request) -> None:
    endpoints = _endpoints(request)
    if len(endpoints) > 1:
        raise errdefs.InvalidArgument(
            f"Container cannot be created with multiple network endpoints: {', '.join(endpoints)}"
        )


def _mount(mount: Mount, version: Version) -> None:
    if version.before("1.42"):
        if mount.type != "volume":
            mount.volume_options = None
        if mount.type != "tmpfs":
            mount.tmpfs_options = None
        if mount.bind_options is not None:
            mount.bind_options.create_mountpoint = False
    else:
        _options_fit(mount)
    if version.before("1.40") and mount.bind_options is not None:
        mount.bind_options.non_recursive = False
    if version.before("1.44") and mount.type == "bind":
        _read_only_as_before(mount)
    if version.before("1.45") and mount.volume_options is not None and mount.volume_options.subpath:
        raise errdefs.InvalidArgument("VolumeOptions.Subpath needs API v1.45 or newer")
    if version.before("1.48") and mount.type == "image":
        raise errdefs.InvalidArgument('Mount type "Image" needs API v1.48 or newer')


def _options_fit(mount: Mount) -> None:
    given = (
        ("VolumeOptions", "volume", mount.volume_options),
        ("BindOptions", "bind", mount.bind_options),
        ("TmpfsOptions", "tmpfs", mount.tmpfs_options),
    )
    for name, kind, options in given:
        if options is not None and mount.type != kind:
            raise errdefs.InvalidArgument(f'{name} must not be specified on mount type "{mount.type}"')


def _read_only_as_before(mount: Mount) -> None:
    """Before 1.44 a read-only bind left the mounts below it writable."""
    if mount.bind_options is not None and mount.bind_options.read_only_force_recursive:
        raise errdefs.InvalidArgument("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer")
    if mount.read_only and mount.bind_options is not None:
        mount.bind_options.read_only_non_recursive = True  # as dockerd shows it afterwards, too


def _warn_of_volume_driver(request: Request) -> None:
    if not request.host.volume_driver:
        return
    for mount in request.host.mounts or ():
        options = mount.volume_options
        driver = options.driver_config.name if options and options.driver_config else ""
        if mount.type == "volume" and not driver:
            request.warnings.append(_VOLUME_DRIVER_IGNORED)
            return


def _port_bindings(request: Request, version: Version) -> None:
    """An empty list of bindings means: any address and port."""
    bindings = request.host.port_bindings or {}
    empty = [port for port, places in bindings.items() if not places]
    for port in empty:
        bindings[port] = [PortBinding()]
    if empty and not version.before("1.52"):
        request.warnings.append(
            f"Following container port(s) have an empty list of port-bindings: {', '.join(empty)}. "
            "Such bindings will be discarded in a future version."
        )
