"""From resolved options to the OCI runtime spec: a pure function, so a spec can be compared as a value."""

from typing import Any

from runtime.spec import devices, masked, mounts
from runtime.spec.namespaces import HOST
from runtime.spec.options import SpecOptions
from runtime.spec.user import User

VERSION = "1.0.2"
"""The runtime spec that runc 1.1 and crun both take."""

INIT = "/sbin/docker-init"
"""Where --init puts tini: Docker's place, which images and tools know."""


def build(options: SpecOptions) -> dict[str, Any]:
    """Return config.json of a container.

    Raises InvalidArgument for what cannot be said in a spec (an unknown tmpfs option).
    """
    spec: dict[str, Any] = {
        "ociVersion": VERSION,
        "process": _process(options),
        "root": {"path": options.rootfs, "readonly": options.readonly_rootfs},
        "mounts": _mounts(options),
        "linux": _linux(options),
    }
    if options.hostname and options.namespaces.uts != HOST:
        spec["hostname"] = options.hostname
    if options.annotations:
        spec["annotations"] = dict(options.annotations)
    return spec


def is_plain(spec: dict[str, Any]) -> bool:
    """Tell whether all processes of the container end with its first one, and the runtime has no hooks to run."""
    namespaces = {entry["type"]: entry.get("path", "") for entry in spec["linux"]["namespaces"]}
    return namespaces.get("pid") == "" and "hooks" not in spec


def exec_process(
    container: SpecOptions,
    *,
    args: tuple[str, ...],
    env: tuple[str, ...],
    cwd: str = "",
    terminal: bool = False,
    console_size: tuple[int, int] | None = None,
    user: User | None = None,
    privileged_capabilities: tuple[str, ...] | None = None,
) -> dict[str, Any]:
    """Return the process object of an exec in `container`: what is not said here is as in the container.

    `privileged_capabilities` are given for `exec --privileged`, which changes capabilities and nothing else:
    AppArmor, no-new-privileges and seccomp stay the container's. An empty `cwd` is /.
    """
    process = _process_common(container, user or container.user, privileged_capabilities)
    process |= {"args": list(args), "env": list(env), "cwd": cwd or "/", "terminal": terminal}
    return _with_console(process, terminal, console_size)


def _process(options: SpecOptions) -> dict[str, Any]:
    args = list(options.args)
    process = _process_common(options, options.user, None)
    process |= {
        "args": [INIT, "--", *args] if options.init_path else args,
        "env": list(options.env),
        "cwd": options.cwd or "/",
        "terminal": options.terminal,
    }
    return _with_console(process, options.terminal, options.console_size)


def _process_common(options: SpecOptions, user: User, caps: tuple[str, ...] | None) -> dict[str, Any]:
    granted = options.capabilities if caps is None else caps
    process: dict[str, Any] = {
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.extra_gids or (user.gid,))},
        # The kernel drops effective and permitted itself when a user other than root is executed as.
        "capabilities": {kind: list(granted) for kind in ("bounding", "effective", "permitted")},
        "noNewPrivileges": options.no_new_privileges,
        "oomScoreAdj": options.oom_score_adj,
    }
    if options.rlimits:
        process["rlimits"] = [limit.to_oci() for limit in options.rlimits]
    if options.apparmor_profile:
        process["apparmorProfile"] = options.apparmor_profile
    return process


def _with_console(process: dict[str, Any], terminal: bool, size: tuple[int, int] | None) -> dict[str, Any]:
    if terminal and size is not None and size != (0, 0):
        process["consoleSize"] = {"height": size[0], "width": size[1]}
    return process


def _mounts(options: SpecOptions) -> list[mounts.Entry]:
    defaults = mounts.default_mounts(options.shm_size)
    if options.init_path:
        defaults.append(
            {"destination": INIT, "type": "bind", "source": options.init_path, "options": ["bind", "ro"]}
        )
    entries = mounts.assemble(defaults, options.mounts)
    if options.readonly_rootfs:
        entries = mounts.make_read_only(entries, [mount.destination for mount in options.mounts])
    cgroup = options.privileged if options.writable_cgroups is None else options.writable_cgroups
    return mounts.make_writable(entries, sys=options.privileged, cgroup=cgroup)


def _linux(options: SpecOptions) -> dict[str, Any]:
    hidden, readonly = _paths(options)
    linux: dict[str, Any] = {
        "cgroupsPath": options.cgroups_path,
        "namespaces": options.namespaces.to_oci(),
        "resources": options.resources.to_oci() | {"devices": _device_rules(options)},
        "sysctl": _sysctls(options),
        "maskedPaths": list(hidden),
        "readonlyPaths": list(readonly),
        "devices": [device.to_oci() for device in options.devices],
    }
    propagation = mounts.rootfs_propagation(options.mounts)
    if propagation:
        linux["rootfsPropagation"] = propagation
    if options.namespaces.user != HOST:
        linux |= options.identity.to_oci()
    if options.seccomp is not None:
        linux["seccomp"] = options.seccomp
    return linux


def _paths(options: SpecOptions) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (masked, read-only): what was asked, else the defaults, which a privileged container has not."""
    hidden, readonly = options.masked_paths, options.readonly_paths
    if hidden is None:
        hidden = () if options.privileged else (*masked.MASKED, *options.thermal_paths)
    if readonly is None:
        readonly = () if options.privileged else masked.READONLY
    return hidden, readonly


def _device_rules(options: SpecOptions) -> list[dict[str, Any]]:
    rules = devices.EVERYTHING if options.privileged else (*devices.DEFAULT_RULES, *options.device_rules)
    return [rule.to_oci() for rule in rules]


def _sysctls(options: SpecOptions) -> dict[str, str]:
    result: dict[str, str] = {}
    if options.domainname:
        # The spec has no NIS domain name; the sysctl is the same as setdomainname(2).
        result["kernel.domainname"] = options.domainname
    if options.namespaces.own_network and options.namespaces.network != HOST:
        result["net.ipv4.ip_unprivileged_port_start"] = "0"
        if options.namespaces.user == HOST:  # not all groups are in another
            result["net.ipv4.ping_group_range"] = "0 2147483647"
    return result | dict(options.sysctls)
