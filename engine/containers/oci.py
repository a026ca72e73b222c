"""From a container's record to the options of its OCI spec. Reads devices of the host; changes nothing."""

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from engine.containers import security
from engine.containers.config import HostConfig, Ulimit
from engine.containers.container import Container
from engine.containers.limits import limits_of
from runtime import apparmor
from runtime.spec import capabilities, devices, seccomp
from runtime.spec.environment import environment
from runtime.spec.host import has_recursive_read_only
from runtime.spec.mounts import Bind, Mount, Tmpfs
from runtime.spec.namespaces import HOST, NEW, Namespaces
from runtime.spec.options import SHM, SHM_SIZE, SpecOptions
from runtime.spec.resources import Rlimit
from runtime.spec.user import User
from volumes.mount_point import MountPoint

UNCONFINED = b"unconfined"
"""The daemon's default profile where it gives none."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a start has prepared: the record alone does not know it.

    `network` is NEW, HOST or a path; `joined` maps "ipc", "pid" and "user" to the path of a namespace that is
    joined; `files` maps a path in the container to the host's file that is bound there; `shm` is the host's
    directory that is its /dev/shm, "" where it is its own; `sources` are the host's paths of volumes and images by
    destination; `ulimits` and `no_new_privileges` are the daemon's, for what is not asked.
    """

    rootfs: str
    user: User
    network: str = NEW
    own_network: bool = True
    joined: dict[str, str]
    files: dict[str, str]
    shm: str = ""
    sources: Mapping[str, str] = msgspec.field(default_factory=dict)
    ulimits: Mapping[str, Ulimit] = msgspec.field(default_factory=dict)
    cgroups_path: str
    init_path: str
    seccomp_profile: bytes | None = None
    cgroup_version: int = 1
    no_new_privileges: bool = False


def spec_options(container: Container, around: Surroundings) -> SpecOptions:
    """Everything that the spec depends on; InvalidArgument for a device that is not there.

    Blocks where the container has devices: a directory of them is walked.
    """
    config, host = container.config, container.host_config
    asked = security.parse(host.security_opt)
    process = process_options(container, around)
    nodes, rules = _devices(host)
    return msgspec.structs.replace(
        process,
        hostname=config.hostname,
        domainname=config.domainname,
        readonly_rootfs=host.readonly_rootfs,
        seccomp=_seccomp(asked, host.privileged, process.capabilities, around.seccomp_profile),
        masked_paths=None if host.masked_paths is None else tuple(host.masked_paths),
        readonly_paths=None if host.readonly_paths is None else tuple(host.readonly_paths),
        namespaces=_namespaces(container, around),
        identity=container.identity,
        mounts=_mounts(container, around),
        devices=nodes,
        device_rules=rules,
        privileged=host.privileged,
        resources=limits_of(host),
        sysctls=host.sysctls or {},
        annotations=host.annotations or {},
        init_path=around.init_path if host.init and _own_processes(host) else None,
        writable_cgroups=asked.writable_cgroups,
        shm_size=_shm_size(host),
    )


def process_options(container: Container, around: Surroundings) -> SpecOptions:
    """What a process of the container is given, an exec as well as the first; the rest is as it is by default."""
    config, host = container.config, container.host_config
    asked = security.parse(host.security_opt)
    hostname = os.uname().nodename if host.uts_mode == "host" else config.hostname
    return SpecOptions(
        args=(container.path, *container.args),
        env=environment(container.link_variables, config.env or (), hostname, tty=config.tty),
        rootfs=around.rootfs,
        cgroups_path=around.cgroups_path,
        cwd=config.working_dir or "/",
        user=around.user,
        terminal=config.tty,
        console_size=_console_size(host),
        capabilities=capabilities.resolve(
            host.cap_add or (), host.cap_drop or (), privileged=host.privileged
        ),
        no_new_privileges=around.no_new_privileges
        if asked.no_new_privileges is None
        else asked.no_new_privileges,
        rlimits=_rlimits(host, around.ulimits),
        oom_score_adj=host.oom_score_adj,
        apparmor_profile=apparmor_profile(host),
    )


def _console_size(host: HostConfig) -> tuple[int, int] | None:
    size = host.console_size
    return (size[0], size[1]) if size and len(size) == 2 else None


def _seccomp(
    asked: security.Security, privileged: bool, caps: tuple[str, ...], profile: bytes | None
) -> dict[str, Any] | None:
    if privileged or asked.seccomp == "unconfined":
        return None
    if asked.seccomp not in ("", "builtin"):
        return seccomp.parse_profile(asked.seccomp.encode(), frozenset(caps))
    if profile == UNCONFINED and asked.seccomp == "":
        return None
    if profile is not None and asked.seccomp == "":
        return seccomp.parse_profile(profile, frozenset(caps))
    return seccomp.default_profile(frozenset(caps))


def _namespaces(container: Container, around: Surroundings) -> Namespaces:
    host = container.host_config
    return Namespaces(
        network=around.network,
        own_network=around.own_network,
        ipc=_namespace(host.ipc_mode, "ipc", around.joined),
        pid=_namespace(host.pid_mode, "pid", around.joined),
        uts=HOST if host.uts_mode == "host" else NEW,
        cgroup=_cgroup_namespace(host, around.cgroup_version),
        user=around.joined.get("user", NEW) if container.identity.remapped else HOST,
    )


def _namespace(mode: str, kind: str, joined: dict[str, str]) -> str:
    return HOST if mode == "host" else joined.get(kind, NEW)


def _cgroup_namespace(host: HostConfig, version: int) -> str:
    if host.cgroupns_mode:
        return HOST if host.cgroupns_mode == "host" else NEW
    return HOST if version == 1 or host.privileged else NEW


def _own_processes(host: HostConfig) -> bool:
    """Whether its first process is the first of its PID namespace: only that one needs an init."""
    return host.pid_mode in ("", "private")


def _rlimits(host: HostConfig, usual: Mapping[str, Ulimit]) -> tuple[Rlimit, ...]:
    """What is asked for, and the daemon's for the rest."""
    asked = list(host.ulimits or ())
    own = {each.name for each in asked}
    asked += [each for each in usual.values() if each.name not in own]
    return tuple(Rlimit(name=each.name, soft=each.soft, hard=each.hard) for each in asked)


def apparmor_profile(host: HostConfig) -> str | None:
    """The profile of its processes, as Docker chooses it; None where the host has no AppArmor."""
    if not apparmor.supported():
        return None
    asked = security.parse(host.security_opt).apparmor
    return asked or (apparmor.UNCONFINED if host.privileged else apparmor.DEFAULT)


def _shm_size(host: HostConfig) -> int | None:
    if host.ipc_mode == "none":
        return None
    return host.shm_size or SHM_SIZE


def _mounts(container: Container, around: Surroundings) -> tuple[Mount, ...]:
    """The container's own files first: a user's mount on the same place covers them."""
    users = {mount.destination for mount in container.mounts}
    mounts: list[Mount] = [
        Bind(source=source, destination=path, read_only=container.host_config.readonly_rootfs)
        for path, source in around.files.items()
        if path not in users
    ]
    if around.shm and SHM not in {*users, *(container.host_config.tmpfs or ())}:
        mounts.append(Bind(source=around.shm, destination=SHM))
    mounts += [
        _mount(mount, around.sources.get(mount.destination, mount.source)) for mount in container.mounts
    ]
    mounts += [
        Tmpfs(destination=path, options=options)
        for path, options in (container.host_config.tmpfs or {}).items()
    ]
    return tuple(mounts)


def _mount(mount: MountPoint, source: str) -> Mount:
    if mount.type == "tmpfs":
        return Tmpfs(destination=mount.destination, options=",".join(mount.options))
    return Bind(
        source=source,
        destination=mount.destination,
        read_only=not mount.rw,
        recursive="bind" not in mount.options,
        recursive_read_only="rro" in mount.options and has_recursive_read_only(),
        propagation="" if mount.type == "volume" else mount.propagation or "rprivate",
    )


def _devices(host: HostConfig) -> tuple[tuple[devices.Device, ...], tuple[devices.DeviceRule, ...]]:
    nodes = devices.host_devices() if host.privileged else []
    rules: list[devices.DeviceRule] = []
    for mapping in host.devices or ():
        if host.privileged and mapping.path_in_container in ("", mapping.path_on_host):
            continue
        found, allowed = devices.from_host(
            mapping.path_on_host,
            mapping.path_in_container or mapping.path_on_host,
            mapping.cgroup_permissions or "rwm",
        )
        nodes += found
        rules += allowed
    rules += [devices.parse_rule(rule) for rule in host.device_cgroup_rules or ()]
    return tuple(nodes), tuple(rules)
