"""Everything that a container's OCI spec depends on, already resolved: names looked up, defaults decided."""

from collections.abc import Mapping
from typing import Any

import msgspec

from runtime.spec import capabilities, masked
from runtime.spec.devices import Device, DeviceRule
from runtime.spec.identity import HOST, Identity
from runtime.spec.mounts import Mount
from runtime.spec.namespaces import Namespaces
from runtime.spec.resources import Resources, Rlimit
from runtime.spec.user import User

SHM = "/dev/shm"
SHM_SIZE = 64 << 20
"""Docker's default for /dev/shm, bytes."""


class SpecOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The input of `build`. Frozen: a spec is a value, made once per start.

    args                the command, entrypoint first; without the init that `init_path` puts before it
    env                 KEY=value, complete (environment.environment)
    rootfs              path of the mounted root, absolute or beside config.json
    cgroups_path        the runtime's form (cgroups.path_for)
    cwd, user           of the first process; the user is resolved (user.resolve)
    terminal            a pty; `console_size` is (height, width) and counts only then
    hostname            dropped with the host's UTS namespace; with a `domainname` the runtime refuses that
    readonly_rootfs     the root and the default mounts cannot be written; user mounts are as they say
    capabilities        bounding, effective and permitted alike; nothing is inheritable
    seccomp             the spec's linux.seccomp object; None is unconfined
    apparmor_profile    None where the host has no AppArmor
    masked_paths        None is Docker's default (nothing when privileged); () hides nothing
    readonly_paths      the same
    thermal_paths       what of this host's CPUs the default hides as well
    identity            what the user namespace maps, where `namespaces` have one
    mounts              binds and tmpfs of user, volumes, and the container's own files, in any order
    devices             nodes beyond the runtime's own; a privileged container's are devices.host_devices()
    device_rules        added to the default rules; without effect when privileged
    privileged          every device, writable /sys and cgroups, nothing hidden
    writable_cgroups    None follows `privileged`
    sysctls             of the user; they overrule Docker's own
    oom_score_adj       always written, so that the daemon's own is not inherited
    init_path           host's path of a static tini, None for no init
    shm_size            bytes of /dev/shm; None for no /dev/shm (--ipc none)
    """

    args: tuple[str, ...]
    env: tuple[str, ...]
    rootfs: str
    cgroups_path: str
    cwd: str = "/"
    user: User = msgspec.field(default_factory=User)
    terminal: bool = False
    console_size: tuple[int, int] | None = None
    hostname: str = ""
    domainname: str = ""
    readonly_rootfs: bool = False
    capabilities: tuple[str, ...] = capabilities.DEFAULT
    no_new_privileges: bool = False
    seccomp: dict[str, Any] | None = None
    apparmor_profile: str | None = None
    masked_paths: tuple[str, ...] | None = None
    readonly_paths: tuple[str, ...] | None = None
    thermal_paths: tuple[str, ...] = msgspec.field(default_factory=masked.thermal_paths)
    namespaces: Namespaces = msgspec.field(default_factory=Namespaces)
    identity: Identity = HOST
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()
    device_rules: tuple[DeviceRule, ...] = ()
    privileged: bool = False
    writable_cgroups: bool | None = None
    resources: Resources = msgspec.field(default_factory=Resources)
    rlimits: tuple[Rlimit, ...] = ()
    sysctls: Mapping[str, str] = msgspec.field(default_factory=dict)
    oom_score_adj: int = 0
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)
    init_path: str | None = None
    shm_size: int | None = SHM_SIZE
