"""From a step of RUN, and what was prepared for it, to the options of its OCI spec. Reads the host's devices."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from engine.build.run.texts import HOSTNAME
from engine.build.steps import Limits, Run
from engine.containers.oci import UNCONFINED
from runtime import apparmor
from runtime.spec import capabilities, devices, seccomp
from runtime.spec.environment import DEFAULT_PATH, override
from runtime.spec.identity import Identity
from runtime.spec.mounts import Bind, Mount
from runtime.spec.namespaces import HOST, NEW, Namespaces
from runtime.spec.options import SHM_SIZE, SpecOptions
from runtime.spec.resources import Resources, Rlimit
from runtime.spec.user import User

_FILES = ("resolv.conf", "hosts")


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What the step itself does not know. `network` is NEW, HOST or a path; `files` has what is bound to /etc.

    `variables` are those that mounts give. `seccomp_profile` is the daemon's own, None for the builtin one.
    """

    rootfs: str
    cgroups_path: str
    cgroup_version: int
    user: User
    identity: Identity
    network: str
    own_network: bool
    files: str
    mounts: Sequence[Mount]
    variables: Sequence[str]
    seccomp_profile: bytes | None


def options(step: Run, around: Prepared) -> SpecOptions:
    """Everything that the spec of the step's process depends on; HOME is left to the runtime, as in BuildKit."""
    insecure = step.security == "insecure"
    caps = capabilities.resolve(privileged=insecure)
    etc = [
        Bind(source=f"{around.files}/{name}", destination=f"/etc/{name}", read_only=True) for name in _FILES
    ]
    return SpecOptions(
        args=tuple(step.args),
        env=environment(step.env, step.proxy, around.variables),
        rootfs=around.rootfs,
        cgroups_path=around.cgroups_path,
        cwd=step.cwd or "/",
        user=around.user,
        hostname=step.hostname or HOSTNAME,
        capabilities=caps,
        seccomp=None if insecure else _seccomp(around.seccomp_profile, caps),
        apparmor_profile=_apparmor(insecure=insecure),
        namespaces=Namespaces(
            network=around.network,
            own_network=around.own_network,
            cgroup=HOST if around.cgroup_version == 1 or insecure else NEW,
            user=NEW if around.identity.remapped else HOST,
        ),
        identity=around.identity,
        mounts=(*etc, *around.mounts),
        devices=tuple(devices.host_devices()) if insecure else (),
        privileged=insecure,
        resources=resources(step.limits),
        rlimits=tuple(Rlimit(name=each.name, soft=each.soft, hard=each.hard) for each in step.limits.ulimits),
        shm_size=step.limits.shm_size or SHM_SIZE,
    )


def environment(env: Sequence[str], proxy: Mapping[str, str], variables: Sequence[str]) -> tuple[str, ...]:
    """The step's variables, then the proxies', a PATH if there is none, and what mounts give."""
    named = override(env, [f"{name}={value}" for name, value in proxy.items()])
    if not any(entry.startswith("PATH=") for entry in named):
        named.append(f"PATH={DEFAULT_PATH}")
    return tuple(override(named, variables))


def resources(limits: Limits) -> Resources:
    """The limits of its control group."""
    return Resources(
        memory=limits.memory,
        memory_swap=limits.memory_swap,
        cpu_shares=limits.cpu_shares,
        cpu_period=limits.cpu_period,
        cpu_quota=limits.cpu_quota,
        cpuset_cpus=limits.cpuset_cpus,
        cpuset_mems=limits.cpuset_mems,
    )


def _seccomp(profile: bytes | None, caps: tuple[str, ...]) -> dict[str, Any] | None:
    if profile == UNCONFINED:
        return None
    if profile is not None:
        return seccomp.parse_profile(profile, frozenset(caps))
    return seccomp.default_profile(frozenset(caps))


def _apparmor(*, insecure: bool) -> str | None:
    if not apparmor.supported():
        return None
    return apparmor.UNCONFINED if insecure else apparmor.DEFAULT
