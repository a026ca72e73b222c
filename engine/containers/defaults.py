"""What a create request leaves open, filled in as Docker does: pure, but for the paths of this host's CPUs."""

from collections.abc import Iterable

import msgspec

from engine.config import Config
from engine.containers.config import HostConfig, LogConfig
from engine.containers.log_options import CACHE_OPTIONS
from runtime.spec import masked
from runtime.spec.options import SHM_SIZE

_MOST = (1 << 63) - 1  # bytes: more cannot be said to the runtime


def with_defaults(host: HostConfig, config: Config) -> HostConfig:
    """The host configuration as it is stored and shown."""
    replace = msgspec.structs.replace
    log = host.log_config
    if not log.type:
        log = LogConfig(type=config.log_driver, config={**config.log_opts, **(log.config or {})})
    elif log.type == config.log_driver:
        log = LogConfig(type=log.type, config={**config.log_opts, **(log.config or {})})
    elif config.log_opts:
        copied = {name: value for name, value in config.log_opts.items() if name in CACHE_OPTIONS}
        log = LogConfig(type=log.type, config={**copied, **(log.config or {})})
    return replace(
        host,
        log_config=log,
        network_mode="bridge" if host.network_mode in ("", "default") else host.network_mode,
        restart_policy=replace(host.restart_policy, name=host.restart_policy.name or "no"),
        ipc_mode=host.ipc_mode or config.default_ipc_mode,
        cgroupns_mode=host.cgroupns_mode or _cgroupns_mode(host, config),
        shm_size=host.shm_size or config.default_shm_size or SHM_SIZE,
        runtime=host.runtime or config.default_runtime,
        memory_swap=_swap(host),
        memory_swappiness=None if host.memory_swappiness == -1 else host.memory_swappiness,
        oom_kill_disable=bool(host.oom_kill_disable),
        init=config.init if host.init is None and config.init else host.init,
        pids_limit=None if host.pids_limit is not None and host.pids_limit <= 0 else host.pids_limit,
        security_opt=_security_opt(host),
        masked_paths=_paths(host, host.masked_paths, (*masked.MASKED, *masked.thermal_paths())),
        readonly_paths=_paths(host, host.readonly_paths, masked.READONLY),
    )


def _cgroupns_mode(host: HostConfig, config: Config) -> str:
    """On cgroup v1 a privileged container sees the host's groups."""
    return "host" if host.privileged and config.cgroup_version == 1 else config.default_cgroupns_mode


def _swap(host: HostConfig) -> int:
    """Twice the memory, where only the memory is limited."""
    return min(host.memory * 2, _MOST) if host.memory > 0 and host.memory_swap == 0 else host.memory_swap


def _paths(host: HostConfig, asked: list[str] | None, usual: Iterable[str]) -> list[str] | None:
    """What is hidden or read-only: as asked (an empty list is none), else the usual unless privileged."""
    return list(usual) if asked is None and not host.privileged else asked


def _security_opt(host: HostConfig) -> list[str] | None:
    """What shares the host's processes cannot be labelled apart from them."""
    options = host.security_opt or []
    shares = host.privileged or host.ipc_mode == "host" or host.pid_mode == "host"
    if not shares or any(option.partition("=")[0] == "label" for option in options):
        return host.security_opt
    return [*options, "label=disable"]
