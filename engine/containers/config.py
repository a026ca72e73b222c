"""What a container is asked to be: the three parts of a create request (API 1.55, `/containers/create`).

Sizes are bytes, times nanoseconds unless said otherwise. `None` is Go's nil: "not asked".
"""

import msgspec

from engine.wire import Noun


class Healthcheck(Noun):
    """A probe: `test` is [] (inherit), ["NONE"], ["CMD", …] or ["CMD-SHELL", text]."""

    test: list[str] | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class ContainerConfig(Noun, weakref=True):
    """The portable part: what an image may give too."""

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: dict[str, dict[str, object]] | None = None
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: list[str] | None = None
    cmd: list[str] | None = None
    healthcheck: Healthcheck | None = None
    args_escaped: bool = False
    image: str = ""
    volumes: dict[str, dict[str, object]] | None = None
    working_dir: str = ""
    entrypoint: list[str] | None = None
    network_disabled: bool = False
    mac_address: str = ""
    on_build: list[str] | None = None
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    stop_timeout: int | None = None  # seconds
    shell: list[str] | None = None


class LogConfig(Noun):
    """Where the output goes; an empty type is the daemon's default."""

    type: str = ""
    config: dict[str, str] | None = None


class RestartPolicy(Noun):
    """`name` is "", "no", "always", "unless-stopped" or "on-failure"."""

    name: str = ""
    maximum_retry_count: int = 0


class PortBinding(Noun):
    """An asked host address and port; the port may be "", "80" or a range "8000-8010"."""

    host_ip: str = msgspec.field(default="", name="HostIp")
    host_port: str = ""


class Ulimit(Noun):
    """A resource limit by Docker's name (`nofile`)."""

    name: str = ""
    soft: int = 0
    hard: int = 0


class DeviceMapping(Noun):
    """A host device in the container, with cgroup permissions such as "rwm"."""

    path_on_host: str = ""
    path_in_container: str = ""
    cgroup_permissions: str = ""


class DeviceRequest(Noun):
    """Devices asked by driver or capability (`--gpus`)."""

    driver: str = ""
    count: int = 0
    device_ids: list[str] | None = msgspec.field(default=None, name="DeviceIDs")
    capabilities: list[list[str]] | None = None
    options: dict[str, str] | None = None


class WeightDevice(Noun):
    """A block device's share."""

    path: str = ""
    weight: int = 0


class ThrottleDevice(Noun):
    """A block device's limit, in bytes or operations a second."""

    path: str = ""
    rate: int = 0


class BindOptions(Noun):
    """Options of a `Mount` of type bind."""

    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class DriverConfig(Noun):
    """A volume driver and its options."""

    name: str = ""
    options: dict[str, str] | None = None


class VolumeOptions(Noun):
    """Options of a `Mount` of type volume."""

    no_copy: bool = False
    labels: dict[str, str] | None = None
    driver_config: DriverConfig | None = None
    subpath: str = ""


class ImageOptions(Noun):
    """Options of a `Mount` of type image."""

    subpath: str = ""


class TmpfsOptions(Noun):
    """Options of a `Mount` of type tmpfs; `mode` is a permission mask."""

    size_bytes: int = 0
    mode: int = 0
    options: list[list[str]] | None = None


class Mount(Noun):
    """A mount as `--mount` asks for it."""

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    image_options: ImageOptions | None = None
    tmpfs_options: TmpfsOptions | None = None


class HostConfig(Noun, weakref=True):
    """The part that belongs to this host: resources, mounts, namespaces, security, life cycle."""

    binds: list[str] | None = None
    container_id_file: str = msgspec.field(default="", name="ContainerIDFile")
    log_config: LogConfig = msgspec.field(default_factory=LogConfig)
    network_mode: str = ""
    port_bindings: dict[str, list[PortBinding] | None] | None = None
    restart_policy: RestartPolicy = msgspec.field(default_factory=RestartPolicy)
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: list[str] | None = None
    mounts: list[Mount] | None = None
    console_size: list[int] | None = None  # height, width
    annotations: dict[str, str] | None = None

    cap_add: list[str] | None = None
    cap_drop: list[str] | None = None
    cgroupns_mode: str = ""
    dns: list[str] | None = None
    dns_options: list[str] | None = None
    dns_search: list[str] | None = None
    extra_hosts: list[str] | None = None
    group_add: list[str] | None = None
    ipc_mode: str = ""
    cgroup: str = ""
    links: list[str] | None = None
    oom_score_adj: int = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: list[str] | None = None
    storage_opt: dict[str, str] | None = None
    tmpfs: dict[str, str] | None = None
    uts_mode: str = ""
    userns_mode: str = ""
    shm_size: int = 0
    sysctls: dict[str, str] | None = None
    runtime: str = ""
    isolation: str = ""
    masked_paths: list[str] | None = None
    readonly_paths: list[str] | None = None
    init: bool | None = None

    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = 0
    cgroup_parent: str = ""
    blkio_weight: int = 0
    blkio_weight_device: list[WeightDevice] | None = None
    blkio_device_read_bps: list[ThrottleDevice] | None = None
    blkio_device_write_bps: list[ThrottleDevice] | None = None
    blkio_device_read_iops: list[ThrottleDevice] | None = None
    blkio_device_write_iops: list[ThrottleDevice] | None = None
    cpu_period: int = 0  # microseconds
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: list[DeviceMapping] | None = None
    device_cgroup_rules: list[str] | None = None
    device_requests: list[DeviceRequest] | None = None
    kernel_memory: int = 0
    kernel_memory_tcp: int = msgspec.field(default=0, name="KernelMemoryTCP")
    memory_reservation: int = 0
    memory_swap: int = 0  # -1: unlimited
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    pids_limit: int | None = None
    ulimits: list[Ulimit] | None = None
    cpu_count: int = 0
    cpu_percent: int = 0
    io_maximum_iops: int = msgspec.field(default=0, name="IOMaximumIOps")
    io_maximum_bandwidth: int = 0


class EndpointIPAM(Noun):
    """Addresses asked for an endpoint."""

    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: list[str] | None = msgspec.field(default=None, name="LinkLocalIPs")


class EndpointConfig(Noun):
    """A container's place in one network, as asked (`EndpointSettings` of the API, its writable half)."""

    ipam_config: EndpointIPAM | None = None
    links: list[str] | None = None
    mac_address: str = ""
    aliases: list[str] | None = None
    driver_opts: dict[str, str] | None = None
    gw_priority: int = 0
    network_id: str = ""  # the network that is meant, whatever the name says; "" once the container is in it


class NetworkingConfig(Noun):
    """The networks that a container is created with."""

    endpoints_config: dict[str, EndpointConfig | None] | None = None
