"""How the engine is set up: what `/info` tells of its configuration."""

import os
from collections.abc import Iterable, Sequence

from engine.config import Config
from engine.containers.log_options import DRIVERS
from engine.instance import filesystem_of
from engine.system import host
from engine.system.nouns import AddressPool, Plugins
from engine.system.programs import runc_warning
from runtime import apparmor

_ATTACK_SURFACE = (
    "         Access to the remote API is equivalent to root access on the host. Refer\n"
    "         to the 'Docker daemon attack surface' section in the documentation for\n"
    "         more information: https://docs.docker.com/go/attack-surface/"
)
_NETWORK_DRIVERS = ("bridge", "host", "ipvlan", "macvlan", "null")
_NO_DRIVERS = frozenset({"none"})  # of logs: a choice, and no driver


def plugins(used: Iterable[str], volume: Iterable[str], authorization: Sequence[str]) -> Plugins:
    """As in Docker, plugins are told of once a network has them, or a volume had."""
    return Plugins(
        volume=list(volume),
        network=sorted({*_NETWORK_DRIVERS, *used}),
        authorization=list(authorization) or None,
        log=[driver for driver in DRIVERS if driver not in _NO_DRIVERS],
    )


def address_pools(config: Config) -> list[AddressPool]:
    """Those that are configured, as in Docker; there are others without."""
    return [AddressPool(base=str(pool.base), size=pool.size) for pool in config.default_address_pools]


def driver_status(config: Config) -> list[tuple[str, str]]:
    """What keeps images and containers."""
    return [
        ("driver-type", "io.containerd.snapshotter.v1"),
        ("Backing Filesystem", _backing_filesystem(config)),
        ("Supports d_type", "true"),
    ]


def _backing_filesystem(config: Config) -> str:
    """As Docker names it: any of the ext family is "extfs"."""
    try:
        descriptor = os.open(config.data_root, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return "unknown"
    try:
        name = filesystem_of(descriptor)
    finally:
        os.close(descriptor)
    return "extfs" if name in ("ext2", "ext3", "ext4") else name or "unknown"


def security_options(config: Config) -> list[str]:
    """What containers are confined by."""
    options = ["name=apparmor"] if apparmor.supported() else []
    if host.has_seccomp():
        options.append(f"name=seccomp,profile={config.seccomp_profile}")
    if config.userns_remap:
        options.append("name=userns")
    if config.default_cgroupns_mode == "private":
        options.append("name=cgroupns")
    if config.no_new_privileges:
        options.append("name=no-new-privileges")
    return options


def warnings(config: Config, runc: str) -> list[str]:
    """What an administrator should know; `runc` is its version."""
    by_tcp = (address.removeprefix("tcp://") for address in config.hosts if address.startswith("tcp://"))
    exposed = (_exposed(address, config) for address in by_tcp)
    warnings = [each + _ATTACK_SURFACE for each in exposed if each]
    if config.seccomp_profile != "builtin":
        warnings.append("WARNING: daemon is not using the default seccomp profile")
    if not host.forwards_ipv4():
        warnings.append("WARNING: IPv4 forwarding is disabled")
    if old := runc_warning(runc):
        warnings.append(old)
    return warnings


def _exposed(address: str, config: Config) -> str:
    """What lets anybody in who reaches it, "" for nothing."""
    if config.tls is None:
        return f"WARNING: API is accessible on http://{address} without encryption.\n"
    if not config.tls.verify:
        return f"WARNING: API is accessible on https://{address} without TLS client verification.\n"
    return ""
