"""From a command line to a configuration."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import errdefs
from engine import version
from engine.config import checks, command_line, file, networking, registries, values
from engine.config.config import Config
from engine.config.hosts import DEFAULT_HOST, DEFAULT_TLS_HOST, parse_host
from engine.config.settings import BY_FLAG, BY_KEY, Kind, Setting, Standing
from engine.config.tls import TlsFiles, tls_files
from engine.config.values import RuntimePath
from engine.containers.config import LogConfig
from engine.containers.log_options import LogOptions
from runtime import cgroups
from runtime.cgroups.hierarchy import Driver

DEFAULT_CONFIG_FILE = "/etc/docker/daemon.json"
CHECKED = "configuration OK"

_RUNC_OF_CONTAINERD = "io.containerd.runc.v2"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DEFAULTS: dict[str, Any] = {
    "data-root": "/var/lib/wherry",
    "exec-root": "/run/wherry",
    "pidfile": "/run/wherry.pid",
    "group": "docker",
    "log-level": "info",
    "log-format": "text",
    "shutdown-timeout": 15,
    "bridge": "wherry0",
    "default-runtime": "runc",
    "default-shm-size": 64 << 20,
    "default-ipc-mode": "private",
    "seccomp-profile": "builtin",
    "log-driver": "json-file",
    "max-concurrent-downloads": 3,
    "max-concurrent-uploads": 5,
    "max-download-attempts": 5,
    "cdi-spec-dirs": ("/etc/cdi", "/var/run/cdi"),
    "icc": True,
    "ip-forward": True,
    "ip-masq": True,
    "published-ports": "direct",
}


# A group of "" says: root's. A timeout of 0 says: at once. What is on unless it is switched off.
_MEANT_EMPTY = frozenset({"group", "shutdown-timeout", "icc", "ip-forward", "ip-masq"})


class Answered(Exception):  # noqa: N818 - nothing failed
    """The command line asked for a text (help, version, validation), and not for a daemon: print it, exit 0."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def load(argv: Sequence[str]) -> Config:
    """The configuration from a command line (without the program's name) and from daemon.json.

    InvalidArgument, in dockerd's words where it has some, if it cannot be; `Answered` for --help,
    --version and --validate. Reads files, so not on the loop.
    """
    given = command_line.parse(argv)
    asked = {flag: values.from_flags(BY_FLAG[flag], texts) for flag, texts in given.items()}
    if asked.get("help"):
        raise Answered(command_line.usage())
    if asked.get("version"):
        raise Answered(f"wherryd version {version.ENGINE}\n")
    config_file = asked.get("config-file", DEFAULT_CONFIG_FILE)
    config = _config(asked, _from_file(config_file, given), config_file)
    if asked.get("validate"):
        raise Answered(f"{CHECKED}\n")
    return config


def _from_file(path: str, given: command_line.Given) -> dict[str, Any]:
    """The values of the file by their keys; null says nothing."""
    if not path:
        return {}
    try:
        settings = file.read(path)
        if settings is None:
            if "config-file" not in given:
                return {}
            raise errdefs.InvalidArgument(f"open {path}: no such file or directory")
        file.require_no_conflict(settings, given)
        said = {key: value for key, value in settings.items() if value is not None}
        return {key: values.from_file(BY_KEY[key], value) for key, value in said.items()}
    except errdefs.InvalidArgument as error:
        raise errdefs.InvalidArgument(
            f"unable to configure the Docker daemon with file {path}: {error.message}"
        ) from error


def _config(asked: Mapping[str, Any], filed: Mapping[str, Any], config_file: str) -> Config:
    told: list[tuple[Setting, Any]] = [(BY_FLAG[flag], value) for flag, value in asked.items()]
    told += [(BY_KEY[key], value) for key, value in filed.items()]
    _require_built(told)
    found: dict[str, Any] = {}
    for setting, value in told:
        name = setting.key or setting.flag
        found[name] = {**found.get(name, {}), **value} if setting.kind is Kind.RUNTIMES else value
    settings = _Settings(found)
    _require_good(settings)
    tls = tls_files(found, os.environ)
    return _built(settings, config_file, tls, _notices(told))


class _Settings:
    """Settings by their keys, empty ones filled in with defaults."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self._found = found

    def __getitem__(self, key: str) -> Any:
        setting = BY_KEY.get(key) or BY_FLAG[key]
        value = self._found.get(key, values.EMPTY[setting.kind])
        if key in self._found and key in _MEANT_EMPTY:
            return value
        return value or _DEFAULTS.get(key, value)


def _require_good(settings: _Settings) -> None:
    checks.require_level(settings["log-level"])
    checks.require_format(settings["log-format"])
    checks.require_labels(settings["labels"])
    checks.require_addresses("dns", settings["dns"])
    checks.require_domains(settings["dns-search"])
    registries.require_insecure(settings["insecure-registries"])
    for key in ("max-concurrent-downloads", "max-concurrent-uploads", "max-download-attempts"):
        checks.require_none_below_zero(key, settings[key])
    checks.require_ipc_mode(settings["default-ipc-mode"])
    checks.require_published_ports(settings["published-ports"])
    LogOptions.parse(LogConfig(type=settings["log-driver"], config=settings["log-opts"]))


def _built(settings: _Settings, config_file: str, tls: TlsFiles | None, notices: tuple[str, ...]) -> Config:
    hierarchy = cgroups.detect()
    cgroupns = settings["default-cgroupns-mode"] or ("host" if hierarchy.version == 1 else "private")
    checks.require_cgroupns_mode(cgroupns)
    driver = _cgroup_driver(settings["exec-opts"], hierarchy)
    cgroups.check_parent(settings["cgroup-parent"], driver)
    checks.require_realtime(settings["cpu-rt-period"], settings["cpu-rt-runtime"], hierarchy, driver)
    runtimes = _runtimes(settings["runtimes"])
    if settings["default-runtime"] not in runtimes:
        raise errdefs.InvalidArgument(
            f"specified default runtime '{settings['default-runtime']}' does not exist"
        )
    return Config(
        data_root=_absolute(settings["data-root"]),
        exec_root=_absolute(settings["exec-root"]),
        pidfile=_absolute(settings["pidfile"]),
        config_file=config_file,
        hosts=tuple(map(parse_host, filter(str.strip, settings["hosts"])))
        or (DEFAULT_TLS_HOST if tls else DEFAULT_HOST,),
        tls=tls,
        group=settings["group"],
        debug=settings["debug"],
        log_level=settings["log-level"].lower(),
        log_format=settings["log-format"],
        labels=tuple(dict.fromkeys(settings["labels"])),
        shutdown_timeout=settings["shutdown-timeout"],
        stop_containers=settings["stop-containers"],
        purge_network=settings["purge-network"],
        fault_points=settings["fault-points"],
        bridge=settings["bridge"],
        default_bridge=networking.default_bridge(settings),
        default_address_pools=settings["default-address-pools"],
        default_network_opts=settings["default-network-opts"],
        ip_forward=settings["ip-forward"],
        ip_forward_no_drop=settings["ip-forward-no-drop"],
        allow_direct_routing=settings["allow-direct-routing"],
        host_gateway_ips=networking.host_gateways(settings),
        published_ports=settings["published-ports"],
        dns=settings["dns"],
        dns_opts=settings["dns-opts"],
        dns_search=settings["dns-search"],
        insecure_registries=settings["insecure-registries"],
        registry_mirrors=registries.mirrors(settings["registry-mirrors"]),
        max_concurrent_downloads=settings["max-concurrent-downloads"],
        max_concurrent_uploads=settings["max-concurrent-uploads"],
        max_download_attempts=settings["max-download-attempts"],
        builder=settings["builder"],
        image_gc=settings["image-gc"],
        **_proxies(settings),
        cdi_spec_dirs=tuple(filter(None, settings["cdi-spec-dirs"])),
        runtimes=runtimes,
        default_runtime=settings["default-runtime"],
        cgroup_driver=driver,
        cgroup_parent=settings["cgroup-parent"],
        cpu_rt_period=settings["cpu-rt-period"],
        cpu_rt_runtime=settings["cpu-rt-runtime"],
        seccomp_profile=settings["seccomp-profile"],
        cgroup_version=hierarchy.version,
        default_cgroupns_mode=cgroupns,
        default_ipc_mode=settings["default-ipc-mode"],
        default_shm_size=settings["default-shm-size"],
        default_ulimits=settings["default-ulimits"],
        container_size=values.container_size(settings["storage-opts"]),
        init=settings["init"],
        no_new_privileges=settings["no-new-privileges"],
        userns_remap=settings["userns-remap"],
        authorization_plugins=tuple(settings["authorization-plugins"]),
        log_driver=settings["log-driver"],
        log_opts=settings["log-opts"],
        notices=notices,
    )


def _proxies(settings: _Settings) -> dict[str, str]:
    keys = ("http-proxy", "https-proxy", "no-proxy")
    return {key.replace("-", "_"): registries.proxy(key, settings[key], os.environ) for key in keys}


def _require_built(told: Sequence[tuple[Setting, Any]]) -> None:
    for setting, value in told:
        harmless = setting.harmless or (values.EMPTY.get(setting.kind),)
        if setting.standing is Standing.REFUSED and value not in harmless:
            raise errdefs.InvalidArgument(
                f"{setting.key or setting.flag} is not supported by this version of wherry: it would have no effect"
            )


def _notices(told: Sequence[tuple[Setting, Any]]) -> tuple[str, ...]:
    return tuple(
        f"{setting.key or setting.flag} is accepted and has no effect: {setting.note}"
        for setting, _ in told
        if setting.standing is Standing.NEEDLESS
    )


def _runtimes(added: Mapping[str, RuntimePath]) -> dict[str, RuntimePath]:
    found = {"runc": RuntimePath("runc"), _RUNC_OF_CONTAINERD: RuntimePath("runc"), **added}
    return {name: RuntimePath(_executable(one.path), one.args) for name, one in found.items()}


def _executable(path: str) -> str:
    """The path of a program; what is not found stays a name, and fails where it is used."""
    return shutil.which(path, path=os.environ.get("PATH") or _PATH) or shutil.which(path, path=_PATH) or path


def _cgroup_driver(exec_opts: Sequence[str], hierarchy: cgroups.Hierarchy) -> Driver:
    driver = checks.cgroup_driver(exec_opts)
    if driver == "systemd" and not hierarchy.systemd:
        raise errdefs.InvalidArgument(
            "exec-opt native.cgroupdriver=systemd: systemd does not run on this host"
        )
    return cast("Driver", driver) if driver else cgroups.default_driver(hierarchy)


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(path))
