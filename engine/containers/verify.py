"""Whether a create request makes sense, before anything is touched: pure, with Docker's texts."""

import ipaddress
import os

import errdefs
from engine.containers import ports, security
from engine.containers.config import ContainerConfig, Healthcheck, HostConfig, RestartPolicy
from engine.containers.signals import parse_signal
from runtime.cgroups import HostCapabilities, check_cpuset, check_parent
from runtime.spec import capabilities

MIN_MEMORY = 6 << 20
_SHARED_NAMESPACE = "container:"
HOST_GATEWAY = "host-gateway"
_IPC_MODES = ("", "none", "private", "shareable", "host")
_ULIMITS = (
    "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
    "rttime", "sigpending", "stack",
)  # fmt: skip
_MILLISECOND = 1_000_000
_POLICIES = ("", "no", "always", "unless-stopped", "on-failure")


def verify(
    config: ContainerConfig,
    host: HostConfig,
    *,
    runtimes: frozenset[str],
    cgroup_driver: str,
    limits: HostCapabilities,
) -> None:
    """Raise InvalidArgument for the first thing that cannot be."""
    _verify_config(config)
    _verify_life_cycle(host)
    _verify_namespaces(host)
    _verify_memory(host)
    _verify_cpu(host, limits)
    _verify_rest(host, runtimes, cgroup_driver)


def verify_update(asked: HostConfig, limits: HostCapabilities) -> None:
    """Raise InvalidArgument for the first part of an update, resources and restart policy, that cannot be."""
    verify_restart_policy(asked.restart_policy)
    _verify_memory(asked, update=True)
    _verify_cpu(asked, limits)


def _refuse(condition: object, text: str) -> None:
    if condition:
        raise errdefs.InvalidArgument(text)


def _verify_config(config: ContainerConfig) -> None:
    workdir = config.working_dir
    _refuse(
        workdir and not workdir.startswith("/"),
        f"the working directory '{workdir}' is invalid, it needs to be an absolute path",
    )
    for entry in config.env or ():
        _refuse(not entry or entry.startswith("="), f"invalid environment variable: {entry}")
        _refuse("\0" in entry, "invalid environment variable: it contains a NUL byte")
    for word in (*(config.entrypoint or ()), *(config.cmd or ())):
        _refuse("\0" in word, "invalid command: an argument contains a NUL byte")
    texts = {"hostname": config.hostname, "domain name": config.domainname, "user": config.user}
    for name, text in {**texts, "working directory": workdir}.items():
        _refuse("\0" in text, f"invalid {name}: it contains a NUL byte")
    _refuse(len(config.hostname) > 64, f"invalid hostname: {config.hostname} is longer than 64 characters")
    if config.stop_signal:
        parse_signal(config.stop_signal)
    if config.healthcheck is not None:
        _verify_healthcheck(config.healthcheck)


def _verify_healthcheck(check: Healthcheck) -> None:
    times = {
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
    }
    for name, nanoseconds in times.items():
        _refuse(
            nanoseconds != 0 and nanoseconds < _MILLISECOND,
            f"{name} in Healthcheck cannot be less than 1ms",
        )
    _refuse(check.retries < 0, "Retries in Healthcheck cannot be negative")


def _verify_life_cycle(host: HostConfig) -> None:
    policy = host.restart_policy
    verify_restart_policy(policy)
    _refuse(
        host.auto_remove and policy.name not in ("", "no"),
        "can't create 'AutoRemove' container with restart policy",
    )


def verify_restart_policy(policy: RestartPolicy) -> None:
    """Raise InvalidArgument for a policy that Docker refuses; an update without a name changes none."""
    _refuse(
        policy.name not in _POLICIES,
        f"invalid restart policy: unknown policy '{policy.name}'; "
        "use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
    )
    count = policy.maximum_retry_count
    if not policy.name:
        return
    if policy.name == "on-failure":
        _refuse(count < 0, "invalid restart policy: maximum retry count cannot be negative")
        return
    text = "invalid restart policy: maximum retry count can only be used with 'on-failure'"
    _refuse(count, text + (" and cannot be negative" if count < 0 else ""))


def _verify_namespaces(host: HostConfig) -> None:
    shared = host.ipc_mode.startswith(_SHARED_NAMESPACE)
    _refuse(host.ipc_mode not in _IPC_MODES and not shared, f"invalid IPC mode: {host.ipc_mode}")
    shared = host.pid_mode.startswith(_SHARED_NAMESPACE) and host.pid_mode != _SHARED_NAMESPACE
    _refuse(host.pid_mode not in ("", "host") and not shared, f"invalid PID mode: {host.pid_mode}")
    _refuse(host.uts_mode not in ("", "host"), f"invalid UTS mode: {host.uts_mode}")
    _refuse(host.userns_mode not in ("", "host"), f"invalid user namespace mode: {host.userns_mode}")
    _refuse(
        host.cgroupns_mode not in ("", "private", "host"),
        f"invalid cgroup namespace mode: {host.cgroupns_mode}",
    )
    _refuse(
        host.isolation not in ("", "default"),
        f"Invalid isolation: \"{host.isolation}\" - linux only supports 'default'",
    )


def _verify_memory(host: HostConfig, *, update: bool = False) -> None:
    memory, swap, reservation = host.memory, host.memory_swap, host.memory_reservation
    _refuse(memory != 0 and memory < MIN_MEMORY, "Minimum memory limit allowed is 6MB")
    _refuse(
        memory > 0 and swap > 0 and swap < memory,
        "Minimum memoryswap limit should be larger than memory limit, see usage",
    )
    _refuse(
        memory == 0 and swap > 0 and not update,
        "You should always set the Memory limit when using Memoryswap limit, see usage",
    )
    swappiness = host.memory_swappiness
    _refuse(
        swappiness is not None and not -1 <= swappiness <= 100,
        f"Invalid value: {swappiness}, valid memory swappiness range is 0-100",
    )
    _refuse(0 < reservation < MIN_MEMORY, "Minimum memory reservation allowed is 6MB")
    _refuse(
        memory > 0 and memory < reservation,
        "Minimum memory limit can not be less than memory reservation limit, see usage",
    )
    _refuse(host.shm_size < 0, "SHM size can not be less than 0")


def _verify_cpu(host: HostConfig, limits: HostCapabilities) -> None:
    count = os.cpu_count() or 1
    _refuse(
        host.nano_cpus and host.cpu_period, "Conflicting options: Nano CPUs and CPU Period cannot both be set"
    )
    _refuse(
        host.nano_cpus and host.cpu_quota, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"
    )
    _refuse(
        host.nano_cpus > 0 and not limits.cpu_cfs_quota,
        "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
    )
    _refuse(
        host.nano_cpus < 0 or host.nano_cpus > count * 1_000_000_000,
        f"Range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available",
    )
    _refuse(
        host.cpu_period and not 1000 <= host.cpu_period <= 1_000_000,
        "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
    )
    _refuse(0 < host.cpu_quota < 1000, "CPU cfs quota can not be less than 1ms (i.e. 1000)")
    _refuse(host.cpu_shares < 0, f"invalid CPU shares ({host.cpu_shares}): value must be a positive integer")
    _verify_realtime(host.cpu_realtime_period, host.cpu_realtime_runtime, limits)
    check_cpuset(host.cpuset_cpus, limits.cpus, "cpus")
    check_cpuset(host.cpuset_mems, limits.mems, "mems")
    _refuse(
        limits.blkio_weight and host.blkio_weight and not 10 <= host.blkio_weight <= 1000,
        "Range of blkio weight is from 10 to 1000",
    )


def _verify_realtime(period: int, runtime: int, limits: HostCapabilities) -> None:
    _refuse(
        (period or runtime) and not limits.cpu_realtime, "kernel does not support CPU real-time scheduler"
    )
    _refuse(
        period and runtime and runtime > period,
        "cpu real-time runtime cannot be higher than cpu real-time period",
    )
    _refuse(period < 0, f"invalid CPU real-time period ({period}): value must be a positive integer")
    _refuse(runtime < 0, f"invalid CPU real-time runtime ({runtime}): value must be a positive integer")


def _verify_rest(host: HostConfig, runtimes: frozenset[str], cgroup_driver: str) -> None:
    capabilities.validate(host.cap_add or (), host.cap_drop or ())
    security.parse(host.security_opt)
    _refuse(host.runtime and host.runtime not in runtimes, f"unknown or invalid runtime name: {host.runtime}")
    _refuse(
        not -1000 <= host.oom_score_adj <= 1000,
        f"Invalid value {host.oom_score_adj}, range for oom score adj is [-1000, 1000]",
    )
    check_parent(host.cgroup_parent, cgroup_driver)
    for entry in host.extra_hosts or ():
        name, colon, address = entry.partition(":")
        _refuse(not (name and colon), f'bad format for add-host: "{entry}"')
        _refuse(
            address != HOST_GATEWAY and not _is_address(address.strip()),
            f'invalid IP address in add-host: "{address}"',
        )
    for address in host.dns or ():
        _refuse(not _is_address(address), f"bad nameserver address {address}")
    _refuse(
        "" in (host.annotations or {}),
        "invalid Annotations: the empty string is not permitted as an annotation key",
    )
    for asked, what in ((host.io_maximum_bandwidth, "bandwidth"), (host.io_maximum_iops, "IOPs")):
        _refuse(asked, f"Invalid QoS settings: linux does not support configuration of maximum {what}")
    for limit in host.ulimits or ():
        _refuse(limit.name.lower() not in _ULIMITS, f"invalid ulimit type: {limit.name}")
        _refuse(
            0 <= limit.hard < limit.soft or (limit.soft < 0 <= limit.hard),
            f"ulimit soft limit must be less than or equal to hard limit: {limit.soft} > {limit.hard}",
        )
    ports.wanted(ContainerConfig(), host)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
