"""What `/info` and `/version` say (API 1.55): the nouns. `UNSET` fields are left out of the answer."""

import msgspec
from msgspec import UNSET, UnsetType

from engine.wire import Noun


class Plugins(Noun, kw_only=True):
    """Drivers by their names, of what there is more than one kind of."""

    volume: list[str] = msgspec.field(default_factory=list)
    network: list[str] = msgspec.field(default_factory=list)
    authorization: list[str] | None = None
    log: list[str] = msgspec.field(default_factory=list)


class Index(Noun, kw_only=True):
    """A registry as it is spoken to."""

    name: str
    mirrors: list[str] = msgspec.field(default_factory=list)
    secure: bool = True
    official: bool = False


class RegistryConfig(Noun, kw_only=True):
    """How registries are spoken to."""

    insecure_registry_cidrs: list[str] = msgspec.field(default_factory=list, name="InsecureRegistryCIDRs")
    index_configs: dict[str, Index] = msgspec.field(default_factory=dict)
    mirrors: list[str] | None = None


class Runtime(Noun, kw_only=True):
    """An OCI runtime; `status` holds what it says of its features, as JSON by the name of their schema."""

    path: str = msgspec.field(name="path")
    runtime_args: list[str] | UnsetType = msgspec.field(default=UNSET, name="runtimeArgs")
    status: dict[str, str] | UnsetType = msgspec.field(default=UNSET, name="status")


class Swarm(Noun, kw_only=True):
    """A node outside a swarm."""

    node_id: str = ""
    node_addr: str = ""
    local_node_state: str = "inactive"
    control_available: bool = False
    error: str = ""
    remote_managers: list[str] | None = None


class Commit(Noun, kw_only=True):
    """The version of a program that is not the engine's own."""

    id: str = "N/A"


class FoundDevice(Noun, kw_only=True):
    """A device that containers can be given, by the driver that found it."""

    source: str
    id: str = msgspec.field(name="ID")


class Firewall(Noun, kw_only=True):
    """What the rules of the network are written in."""

    driver: str


class AddressPool(Noun, kw_only=True):
    """Where networks get subnets from, and of which prefix length."""

    base: str
    size: int


class Info(Noun, kw_only=True):
    """How the engine is set up, and how it and its host do. Memory is bytes."""

    id: str
    containers: int
    containers_running: int
    containers_paused: int
    containers_stopped: int
    images: int
    driver: str
    driver_status: list[tuple[str, str]]
    plugins: Plugins
    memory_limit: bool
    swap_limit: bool
    cpu_cfs_period: bool
    cpu_cfs_quota: bool
    cpu_shares: bool = msgspec.field(name="CPUShares")
    cpu_set: bool = msgspec.field(name="CPUSet")
    pids_limit: bool
    ipv4_forwarding: bool
    debug: bool
    n_fd: int
    oom_kill_disable: bool
    n_goroutines: int
    system_time: str
    logging_driver: str
    cgroup_driver: str
    cgroup_version: str
    n_events_listener: int
    kernel_version: str
    operating_system: str
    os_version: str = msgspec.field(name="OSVersion")
    os_type: str = msgspec.field(default="linux", name="OSType")
    architecture: str
    index_server_address: str = "https://index.docker.io/v1/"
    registry_config: RegistryConfig
    ncpu: int = msgspec.field(name="NCPU")
    mem_total: int
    generic_resources: None = None
    default_address_pools: list[AddressPool] | UnsetType = UNSET
    docker_root_dir: str
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    name: str
    labels: list[str]
    experimental_build: bool = False
    server_version: str
    runtimes: dict[str, Runtime]
    default_runtime: str
    swarm: Swarm = msgspec.field(default_factory=Swarm)
    live_restore_enabled: bool = True
    isolation: str = ""
    init_binary: str
    containerd_commit: Commit = msgspec.field(default_factory=Commit)
    runc_commit: Commit
    init_commit: Commit
    security_options: list[str]
    firewall_backend: Firewall
    cdi_spec_dirs: list[str] = msgspec.field(name="CDISpecDirs")
    discovered_devices: list[FoundDevice]
    warnings: list[str] | None


class Platform(Noun, kw_only=True):
    """Whose engine it is."""

    name: str


class Component(Noun, kw_only=True):
    """A program that the engine is made of."""

    name: str
    version: str
    details: dict[str, str]


class Version(Noun, kw_only=True):
    """Which engine it is. The fields after `components` are those of old clients."""

    platform: Platform
    components: list[Component]
    version: str
    api_version: str = msgspec.field(name="ApiVersion")
    min_api_version: str = msgspec.field(name="MinAPIVersion")
    git_commit: str
    go_version: str
    os: str
    arch: str
    kernel_version: str
    build_time: str
