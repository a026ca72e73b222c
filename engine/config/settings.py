"""Every setting that dockerd 26 to 29 knows, and what wherry does with it.

A flag and the key in daemon.json mean the same; where a flag may be given more than once the key is its
plural.
"""

from enum import Enum, auto
from typing import Any

import msgspec


class Kind(Enum):
    """What a value is; `engine.config.values` reads it from flags and from the file."""

    BOOL = auto()
    TEXT = auto()
    NUMBER = auto()
    SIZE = auto()  # bytes: 67108864, "64m"
    LIST = auto()
    MAP = auto()  # name to text
    RUNTIMES = auto()
    ULIMITS = auto()
    IMAGE_GC = auto()
    BUILDER = auto()
    ADDRESS = auto()  # of IP
    POOLS = auto()  # of addresses
    OPTIONS = auto()  # by driver
    OPAQUE = auto()  # what the file says, unread


class Standing(Enum):
    """What becomes of a setting."""

    USED = auto()
    NEEDLESS = auto()  # accepted, with one line in the log
    REFUSED = auto()  # not built yet, and would change behaviour


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting; `key` is "" if daemon.json must not say it, `flag` is "" if only daemon.json may.

    `harmless` are the values by which a refused setting changes nothing, () for the empty one; `note` is
    the line of help of one that is used, the reason of one that is not.
    """

    flag: str
    key: str
    kind: Kind
    standing: Standing
    short: str = ""
    harmless: tuple[Any, ...] = ()
    note: str = ""
    hidden: bool = False  # from the help


def _used(flag: str, key: str, kind: Kind, note: str, *, short: str = "", hidden: bool = False) -> Setting:
    return Setting(
        flag=flag, key=key, kind=kind, standing=Standing.USED, short=short, note=note, hidden=hidden
    )


def _needless(names: str, kind: Kind, note: str, short: str = "") -> list[Setting]:
    """Settings without effect: "flag" or "flag:key", separated by blanks."""
    return [
        Setting(flag=flag, key=key, kind=kind, standing=Standing.NEEDLESS, short=short, note=note)
        for flag, key in _names(names)
    ]


def _refused(names: str, kind: Kind, *harmless: Any) -> list[Setting]:
    return [
        Setting(flag=flag, key=key, kind=kind, standing=Standing.REFUSED, harmless=harmless)
        for flag, key in _names(names)
    ]


def _names(names: str) -> list[tuple[str, str]]:
    pairs = (name.partition(":") for name in names.split())
    return [(flag, key if colon else flag) for flag, colon, key in pairs]


_USED = [
    _used("add-runtime", "runtimes", Kind.RUNTIMES, "Register an OCI runtime, as name=path"),
    _used(
        *("allow-direct-routing", "allow-direct-routing", Kind.BOOL),
        "Let others reach published ports by containers' own addresses",
    ),
    _used(
        *("authorization-plugin", "authorization-plugins", Kind.LIST),
        "Plugin that is asked whether a request may be handled",
    ),
    _used("bip", "bip", Kind.TEXT, "IPv4 address and prefix of the default bridge"),
    _used("bip6", "bip6", Kind.TEXT, "IPv6 address and prefix of the default bridge"),
    _used(
        "bridge", "bridge", Kind.TEXT, "Bridge of the default network, made if missing (wherry0)", short="b"
    ),
    _used(
        *("cdi-spec-dir", "cdi-spec-dirs", Kind.LIST),
        'Directory of CDI specs (/etc/cdi, /var/run/cdi); "" for none',
    ),
    _used("config-file", "", Kind.TEXT, "Configuration file (/etc/docker/daemon.json)"),
    _used(
        *("cgroup-parent", "cgroup-parent", Kind.TEXT),
        "Control group above those of containers that name none (/docker, or system.slice)",
    ),
    _used(
        *("cpu-rt-period", "cpu-rt-period", Kind.NUMBER),
        "Period of real-time CPU time for all containers, microseconds (cgroup v1)",
    ),
    _used(
        *("cpu-rt-runtime", "cpu-rt-runtime", Kind.NUMBER),
        "Real-time CPU time in each period for all containers, microseconds (cgroup v1)",
    ),
    _used("data-root", "data-root", Kind.TEXT, "Directory of persistent state (/var/lib/wherry)"),
    _used("debug", "debug", Kind.BOOL, "Log at level debug", short="D"),
    _used(
        *("default-address-pool", "default-address-pools", Kind.POOLS),
        "Pool of networks' subnets, as base=10.0.0.0/8,size=24",
    ),
    _used(
        "default-cgroupns-mode", "default-cgroupns-mode", Kind.TEXT, 'Cgroup namespace: "host" or "private"'
    ),
    _used(
        *("default-gateway", "default-gateway", Kind.ADDRESS),
        "IPv4 gateway of containers of the default bridge, if not the bridge",
    ),
    _used(
        *("default-gateway-v6", "default-gateway-v6", Kind.ADDRESS),
        "IPv6 gateway of containers of the default bridge, if not the bridge",
    ),
    _used("default-ipc-mode", "default-ipc-mode", Kind.TEXT, 'IPC namespace: "shareable" or "private"'),
    _used(
        *("default-network-opt", "default-network-opts", Kind.OPTIONS),
        "Option of new networks, as driver=name=value",
    ),
    _used("default-runtime", "default-runtime", Kind.TEXT, "OCI runtime of containers that name none (runc)"),
    _used("default-shm-size", "default-shm-size", Kind.SIZE, "Size of /dev/shm (64m)"),
    _used("default-ulimit", "default-ulimits", Kind.ULIMITS, "Limit of containers, as name=soft[:hard]"),
    _used("dns", "dns", Kind.LIST, "DNS server of containers"),
    _used("dns-opt", "dns-opts", Kind.LIST, "Resolver option of containers"),
    _used("dns-search", "dns-search", Kind.LIST, "DNS search domain of containers"),
    _used("exec-opt", "exec-opts", Kind.LIST, "native.cgroupdriver=cgroupfs or =systemd"),
    _used("exec-root", "exec-root", Kind.TEXT, "Directory of running state (/run/wherry)"),
    _used(
        *("fixed-cidr", "fixed-cidr", Kind.TEXT),
        "Range of containers' IPv4 addresses on the default bridge",
    ),
    _used(
        *("fixed-cidr-v6", "fixed-cidr-v6", Kind.TEXT),
        "Range of containers' IPv6 addresses on the default bridge",
    ),
    _used("group", "group", Kind.TEXT, "Group of the unix socket (docker)", short="G"),
    _used("host", "hosts", Kind.LIST, "Where to listen: unix://, tcp://, fd://", short="H"),
    _used(
        *("host-gateway-ip", "host-gateway-ips", Kind.LIST),
        "Address that host-gateway in --add-host stands for (the default bridge's)",
    ),
    _used("", "host-gateway-ip", Kind.ADDRESS, "The same, a single one"),
    _used("http-proxy", "http-proxy", Kind.TEXT, "Proxy for registries without TLS"),
    _used("https-proxy", "https-proxy", Kind.TEXT, "Proxy for registries with TLS"),
    _used("icc", "icc", Kind.BOOL, "Let containers of the default bridge reach each other (true)"),
    _used(
        "",
        "published-ports",
        Kind.TEXT,
        "Whether published ports obey the host's firewall: see docs/firewall.md",
    ),
    _used("", "builder", Kind.BUILDER, "The build cache and what builds may ask for: see docs/building.md"),
    _used("", "image-gc", Kind.IMAGE_GC, "Images that make room by themselves: see docs/image-gc.md"),
    _used("init", "init", Kind.BOOL, "Run an init in containers that do not say otherwise"),
    _used("insecure-registry", "insecure-registries", Kind.LIST, "Registry that may be used without TLS"),
    _used("ip", "ip", Kind.ADDRESS, "Address at which the default bridge publishes ports (0.0.0.0)"),
    _used("ip-forward", "ip-forward", Kind.BOOL, "Turn on forwarding of packets in the kernel (true)"),
    _used(
        *("ip-forward-no-drop", "ip-forward-no-drop", Kind.BOOL),
        "Leave the policy of the FORWARD chain as it is when forwarding is turned on",
    ),
    _used("ip-masq", "ip-masq", Kind.BOOL, "Hide containers of the default bridge behind the host (true)"),
    _used("ipv6", "ipv6", Kind.BOOL, "Give the default bridge IPv6"),
    _used("label", "labels", Kind.LIST, "Label of the daemon, as key=value"),
    _used("log-driver", "log-driver", Kind.TEXT, "Log driver of containers (json-file): see docs/logging.md"),
    _used("log-format", "log-format", Kind.TEXT, 'Format of the daemon\'s own log: "text" or "json"'),
    _used("log-level", "log-level", Kind.TEXT, "Level of the daemon's own log (info)", short="l"),
    _used("log-opt", "log-opts", Kind.MAP, "Option of the log driver, as name=value"),
    _used(
        *("max-concurrent-downloads", "max-concurrent-downloads", Kind.NUMBER),
        "Layers that are fetched at once (3)",
    ),
    _used(
        *("max-concurrent-uploads", "max-concurrent-uploads", Kind.NUMBER),
        "Layers that are pushed at once (5)",
    ),
    _used("max-download-attempts", "max-download-attempts", Kind.NUMBER, "Attempts to fetch a layer (5)"),
    _used("mtu", "mtu", Kind.NUMBER, "MTU of the default bridge (1500)"),
    _used(
        *("no-new-privileges", "no-new-privileges", Kind.BOOL),
        "Let processes of containers that do not say otherwise gain no privileges",
    ),
    _used("no-proxy", "no-proxy", Kind.TEXT, "Hosts and networks to reach without a proxy"),
    _used("pidfile", "pidfile", Kind.TEXT, "Where to write the daemon's PID (/run/wherry.pid)", short="p"),
    _used("purge-network", "", Kind.BOOL, "Remove bridges and firewall rules that a daemon left, and exit"),
    _used("registry-mirror", "registry-mirrors", Kind.LIST, "Mirror of Docker Hub, as a URL"),
    _used("seccomp-profile", "seccomp-profile", Kind.TEXT, 'Profile: a path, "builtin" or "unconfined"'),
    _used(
        "shutdown-timeout",
        "shutdown-timeout",
        Kind.NUMBER,
        "Seconds to stop containers in, when told to (15)",
    ),
    _used("stop-containers", "", Kind.BOOL, "Stop the containers of a running daemon, and the daemon"),
    _used(
        *("storage-opt", "storage-opts", Kind.LIST),
        "overlay2.size=SIZE: what containers may hold in their roots, on xfs or ext4 with project quotas",
    ),
    _used("tls", "tls", Kind.BOOL, "Serve tcp:// by TLS, to any client (implied by --tlsverify)"),
    _used("tlscacert", "tlscacert", Kind.TEXT, "CAs of clients' certificates (~/.docker/ca.pem)"),
    _used("tlscert", "tlscert", Kind.TEXT, "The daemon's certificate (~/.docker/cert.pem)"),
    _used("tlskey", "tlskey", Kind.TEXT, "Key of the daemon's certificate (~/.docker/key.pem)"),
    _used("tlsverify", "tlsverify", Kind.BOOL, "Serve tcp:// by TLS, to clients with a certificate alone"),
    _used(
        *("userns-remap", "userns-remap", Kind.TEXT),
        'Account whose subordinate ids containers get: "default", user[:group], uid[:gid]',
    ),
    _used("validate", "", Kind.BOOL, "Check the configuration and exit"),
    _used("version", "", Kind.BOOL, "Print the version and exit", short="v"),
    _used("help", "", Kind.BOOL, "Print this help and exit", short="h"),
    _used("fault-points", "", Kind.BOOL, "", hidden=True),
]

_NEEDLESS = [
    *_needless("live-restore", Kind.BOOL, "containers always survive the daemon"),
    *_needless("storage-driver", Kind.TEXT, "there is one, chosen by the filesystem", "s"),
    *_needless("feature:features", Kind.OPAQUE, "there is nothing to choose"),
    *_needless(
        "containerd containerd-namespace containerd-plugins-namespace :containerd-plugin-namespace",
        Kind.TEXT,
        "there is no containerd",
    ),
    *_needless("experimental", Kind.BOOL, "nothing is held back as experimental"),
    *_needless("userland-proxy", Kind.BOOL, "the daemon itself proxies where it must"),
    *_needless("userland-proxy-path", Kind.TEXT, "the daemon itself proxies where it must"),
    *_needless("restart", Kind.BOOL, "restart policies belong to containers", "r"),
    *_needless("raw-logs", Kind.BOOL, "the log has no colours"),
    *_needless("network-control-plane-mtu network-diagnostic-port", Kind.NUMBER, "it is swarm's"),
    *_needless("swarm-default-advertise-addr", Kind.TEXT, "there is no swarm"),
    *_needless("node-generic-resource:node-generic-resources", Kind.LIST, "there is no swarm"),
    *_needless("allow-nondistributable-artifacts", Kind.LIST, "all layers are alike"),
    *_needless(":min-api-version", Kind.TEXT, "every API from 1.24 on is served"),
    *_needless(":deprecated-key-path", Kind.TEXT, "manifests are not signed"),
]

_ON = (True,)

_REFUSED = [
    *_refused("cri-containerd rootless selinux-enabled", Kind.BOOL),
    *_refused("ip6tables iptables", Kind.BOOL, *_ON),
    *_refused("api-cors-header bridge-accept-fwmark init-path", Kind.TEXT),
    *_refused("metrics-addr", Kind.TEXT),
    *_refused("firewall-backend", Kind.TEXT, "", "nftables"),
    *_refused("default-stop-timeout", Kind.NUMBER, 10),
    *_refused("nri-opts", Kind.OPAQUE, None, {}, {"enable": False}),
]

SETTINGS: tuple[Setting, ...] = (*_USED, *_NEEDLESS, *_REFUSED)
BY_FLAG = {setting.flag: setting for setting in SETTINGS if setting.flag}
BY_SHORT = {setting.short: setting for setting in SETTINGS if setting.short}
BY_KEY = {setting.key: setting for setting in SETTINGS if setting.key}

# Keys whose value is an object of their own; any other object in daemon.json only groups keys ("proxies").
OBJECTS = frozenset(
    {
        *("builder", "default-network-opts", "default-ulimits", "features", "image-gc"),
        *("log-opts", "nri-opts", "runtimes"),
    }
)
