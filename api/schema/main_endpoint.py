"""Settings of a container that are its main endpoint's by now: the MAC address, and sysctls of its interface.

Older versions of the API have them in the container's own configuration; they are moved to where newer ones have them.
"""

import errdefs
from api.versions import Version
from engine.containers.config import ContainerConfig, EndpointConfig, HostConfig
from engine.containers.interface_sysctls import OPTION, PLACEHOLDER

Endpoints = dict[str, EndpointConfig | None]

_MAC_DEPRECATED = (
    "The container-wide MacAddress field is now deprecated. "
    "It should be specified in EndpointsConfig instead."
)


def mac_address(
    config: ContainerConfig, host: HostConfig, endpoints: Endpoints, version: Version
) -> list[str]:
    """Move the container-wide address to the main endpoint; Docker's warnings."""
    wanted, config.mac_address = config.mac_address, ""
    if version.before("1.44") and not wanted:
        for endpoint in endpoints.values():
            if endpoint is not None:
                endpoint.mac_address = ""
    if not wanted:
        return []
    if not version.before("1.52"):
        raise errdefs.InvalidArgument(
            "container-wide MAC address no longer supported; use endpoint-specific MAC address instead"
        )
    if not _has_endpoint(host.network_mode):
        if version.before("1.44"):
            raise errdefs.InvalidArgument("conflicting options: mac-address and the network mode")
    else:
        what = "unable to migrate container-wide MAC address to a specific network: "
        _set_mac(_main_endpoint(host, endpoints, version, what), wanted)
    return [] if version.before("1.44") else [_MAC_DEPRECATED]


def interface_sysctls(host: HostConfig, endpoints: Endpoints, version: Version) -> list[str]:
    """Move sysctls of eth0 to the main endpoint, which has them since 1.46; from 1.48 on that is the client's to do.

    Before 1.46 they stay where they are, and are applied all the same.
    """
    shared = host.network_mode == "host" or host.network_mode.startswith("container:")
    found = [name for name in host.sysctls or () if _interface_of(name)]
    if version.before("1.46") or shared or not found:
        return []
    if not version.before("1.48"):
        raise errdefs.InvalidArgument(
            f"interface specific sysctl setting \"{found[0]}\" must be supplied using driver option '{OPTION}'"
        )
    endpoint = _main_endpoint(host, endpoints, version, f"unable to find a network for sysctl {found[0]}: ")
    for name in found:
        if _interface_of(name) != "eth0":
            raise errdefs.InvalidArgument(
                f"unable to determine network endpoint for sysctl {name}, use driver option '{OPTION}' to set "
                "per-interface sysctls"
            )
    return [_move(found, host, endpoint)]


def _move(names: list[str], host: HostConfig, endpoint: EndpointConfig) -> str:
    sysctls, options = dict(host.sysctls or {}), dict(endpoint.driver_opts or {})
    moved = ",".join(f"{_without_interface(name)}={sysctls.pop(name)}" for name in names)
    options[OPTION] = f"{moved},{options[OPTION]}" if OPTION in options else moved
    host.sysctls, endpoint.driver_opts = sysctls, options
    return f'Migrated sysctl "{",".join(names)}" to DriverOpts{{"{OPTION}":"{moved}"}}.'


def _interface_of(name: str) -> str:
    """The "eth0" of net.ipv4.conf.eth0.forwarding, "" for others."""
    parts = name.split(".", 4)
    return parts[3] if len(parts) == 5 and parts[0] == "net" and parts[3].startswith("eth") else ""


def _without_interface(name: str) -> str:
    parts = name.split(".", 4)
    return ".".join([*parts[:3], PLACEHOLDER, parts[4]])


def _set_mac(endpoint: EndpointConfig, wanted: str) -> None:
    if endpoint.mac_address and endpoint.mac_address != wanted:
        raise errdefs.InvalidArgument(
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network, "
            "or be left empty"
        )
    endpoint.mac_address = wanted


def _has_endpoint(mode: str) -> bool:
    return mode not in ("host", "none") and not mode.startswith("container:")


def _main_endpoint(host: HostConfig, endpoints: Endpoints, version: Version, what: str) -> EndpointConfig:
    mode = host.network_mode
    if endpoints and version.before("1.44"):
        (mode,) = endpoints
    elif endpoints and mode not in endpoints:
        raise errdefs.InvalidArgument(
            f"{what}HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks"
        )
    endpoint = endpoints.get(mode) or EndpointConfig()
    endpoints[mode] = endpoint
    return endpoint
