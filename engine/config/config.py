"""The configuration of the daemon, complete and checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from engine.config.builder import BuilderConfig
from engine.config.image_gc import ImageGC
from engine.config.tls import TlsFiles
from engine.config.values import RuntimePath
from engine.containers.config import Ulimit
from engine.veiled import Veiled
from network.drivers.default_bridge import DefaultBridge
from network.ipam.pools import AddressPool


class Config(Veiled, frozen=True, kw_only=True):
    """What the daemon was told, with defaults filled in. Sizes are bytes, times seconds, paths absolute."""

    data_root: Path
    exec_root: Path
    pidfile: Path
    config_file: str  # "" for none; it may be absent
    hosts: tuple[str, ...]  # "unix:///…", "tcp://host:port", "fd://…"
    tls: TlsFiles | None  # None: tcp:// is served without
    group: str  # of the unix socket; "" leaves it to root
    debug: bool
    log_level: str  # "debug", "info", "warn", "error" or "fatal"
    log_format: Literal["text", "json"]
    labels: tuple[str, ...]  # "key=value"
    shutdown_timeout: int  # negative: as long as it takes
    stop_containers: bool  # `wherryd --stop-containers`: end containers and daemon
    purge_network: bool  # `wherryd --purge-network`: remove what an ended daemon left in the kernel
    fault_points: bool  # the crash tests' switch may be used

    bridge: str
    default_bridge: DefaultBridge
    default_address_pools: tuple[AddressPool, ...]  # () for Docker's
    default_network_opts: Mapping[str, Mapping[str, str]]  # of new networks, by driver
    ip_forward: bool  # turn it on in the kernel
    ip_forward_no_drop: bool  # and leave the policy of the FORWARD chain alone
    allow_direct_routing: bool  # others reach published ports by containers' own addresses
    host_gateway_ips: tuple[
        str, ...
    ]  # what host-gateway stands for, one of each family; () for the default bridge's
    published_ports: Literal["direct", "host-firewall"]
    dns: tuple[str, ...]
    dns_opts: tuple[str, ...]
    dns_search: tuple[str, ...]
    insecure_registries: tuple[str, ...]
    registry_mirrors: tuple[str, ...]  # of Docker Hub: URLs with a slash at the end
    max_concurrent_downloads: int
    max_concurrent_uploads: int
    max_download_attempts: int
    builder: BuilderConfig
    image_gc: ImageGC | None  # None: images go only when somebody removes them
    http_proxy: str  # "" for none; may have a password
    https_proxy: str
    no_proxy: str  # names and networks, separated by commas

    cdi_spec_dirs: tuple[str, ...]  # () where there are no devices by CDI; the last one goes first
    runtimes: Mapping[str, RuntimePath]  # with "runc" among them
    default_runtime: str
    cgroup_driver: Literal["cgroupfs", "systemd"]
    cgroup_parent: str  # of containers that name none; "" for the driver's usual one
    cpu_rt_period: int  # microseconds that real-time threads of all containers have: 0 for what there is
    cpu_rt_runtime: int
    seccomp_profile: str  # "builtin", "unconfined" or a path
    cgroup_version: int  # of this host: 1 or 2
    default_cgroupns_mode: str  # "host" or "private"
    default_ipc_mode: str  # "shareable" or "private"
    default_shm_size: int
    default_ulimits: Mapping[str, Ulimit]
    container_size: int  # bytes that a container may hold in its root, if it does not say; 0 for any number
    init: bool
    no_new_privileges: bool  # of containers that do not say otherwise
    authorization_plugins: tuple[str, ...]  # by their names, in the order in which they are asked
    userns_remap: str  # as in engine.userns_remap; "" for none
    log_driver: str
    log_opts: Mapping[str, str]

    notices: tuple[str, ...] = ()  # what to log once: settings that are accepted and have no effect

    @property
    def level(self) -> str:
        """The level to log at: `debug` wins."""
        return "debug" if self.debug else self.log_level
