"""The whole config.json equals dockerd's, but for listed differences."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from runtime.spec import build, capabilities, devices, masked
from runtime.spec.environment import environment
from runtime.spec.mounts import Bind, Tmpfs
from runtime.spec.namespaces import HOST, Namespaces
from runtime.spec.options import SpecOptions
from runtime.spec.resources import DeviceLimit, Resources, Rlimit, cpu_bandwidth
from runtime.spec.seccomp import default_profile
from runtime.spec.user import resolve
from tests.peer.ledger import LEDGER
from tests.peer.spec.conftest import Captured, Capturing

pytestmark = pytest.mark.root

Spec = dict[str, Any]
PASSWD = b"root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/false\n"
GROUP = b"root:x:0:\ntty:x:5:\nwww-data:x:33:\nstaff:x:50:daemon\n"
OWN_FILES = ("/etc/resolv.conf", "/etc/hostname", "/etc/hosts")


@dataclass(frozen=True, slots=True)
class Case:
    """The same wish twice: as a create request and as options over those of a plain container."""

    config: Mapping[str, Any] = field(default_factory=dict)
    host: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


MIB = 1 << 20
EVERYTHING = capabilities.resolve(privileged=True)
ZERO, ZERO_RULES = devices.from_host("/dev/zero", "/dev/mine", "rw")
CASES = {
    "plain": Case(),
    "terminal": Case(
        {"Tty": True, "Env": ["PATH=/x", "A=1", "HOSTNAME"], "WorkingDir": "/tmp"},
        {},
        {"terminal": True, "env": ("PATH=/x", "TERM=xterm", "A=1"), "cwd": "/tmp"},
    ),
    "user": Case(
        {"User": "www-data"}, {"GroupAdd": ["staff", "777"]},
        {"user": resolve("www-data", ["staff", "777"], PASSWD, GROUP)},
    ),
    "number": Case({"User": "1234:99"}, {}, {"user": resolve("1234:99", [], PASSWD, GROUP)}),
    "limits": Case(
        {},
        {
            "Memory": 64 * MIB, "MemoryReservation": 32 * MIB, "MemorySwappiness": 10,
            "NanoCpus": 1_500_000_000, "CpuShares": 512, "CpusetCpus": "0-1", "CpusetMems": "0",
            "PidsLimit": 42, "OomScoreAdj": 100, "OomKillDisable": True,
        },
        {
            "oom_score_adj": 100,
            "resources": Resources(
                memory=64 * MIB, memory_swap=128 * MIB, memory_reservation=32 * MIB, memory_swappiness=10,
                oom_kill_disable=True, cpu_quota=cpu_bandwidth(1_500_000_000)[0],
                cpu_period=cpu_bandwidth(1_500_000_000)[1], cpu_shares=512, cpuset_cpus="0-1",
                cpuset_mems="0", pids_limit=42,
            ),
        },
    ),
    "unlimited": Case(
        {}, {"Memory": 64 * MIB, "MemorySwap": -1, "PidsLimit": -1, "CpuPeriod": 50000, "CpuQuota": 25000},
        {
            "resources": Resources(
                memory=64 * MIB, memory_swap=-1, cpu_period=50000, cpu_quota=25000,
                oom_kill_disable=False,
            )
        },
    ),
    "disks": Case(
        {}, {"BlkioDeviceReadBps": [{"Path": "/dev/loop0", "Rate": 1000}],
             "BlkioDeviceWriteIOps": [{"Path": "/dev/loop0", "Rate": 7}]},
        {
            "resources": Resources(
                oom_kill_disable=False,
                blkio_read_bps=(DeviceLimit(major=7, minor=0, value=1000),),
                blkio_write_iops=(DeviceLimit(major=7, minor=0, value=7),),
            )
        },
    ),
    "ulimits": Case(
        {},
        {"Ulimits": [{"Name": "nofile", "Soft": 9, "Hard": 20}, {"Name": "core", "Soft": -1, "Hard": -1}]},
        {"rlimits": (Rlimit(name="nofile", soft=9, hard=20), Rlimit(name="core", soft=-1, hard=-1))},
    ),
    "mounts": Case(
        {},
        {
            "Binds": ["/etc:/mnt/deep/er:ro", "/usr:/a", "/usr:/b:private"],
            "Tmpfs": {"/t": "size=1m,exec,mode=1777"},
            "Mounts": [
                {"Type": "bind", "Source": "/usr", "Target": "/u", "BindOptions": {"NonRecursive": True}},
            ],
        },
        {
            "mounts": (
                Bind(source="/etc", destination="/mnt/deep/er", read_only=True, recursive_read_only=True),
                Bind(source="/usr", destination="/a"),
                Bind(source="/usr", destination="/b", propagation="private"),
                Bind(source="/usr", destination="/u", recursive=False),
                Tmpfs(destination="/t", options="size=1m,exec,mode=1777"),
            )
        },
    ),
    "own /dev": Case({}, {"Binds": ["/etc:/dev"]}, {"mounts": (Bind(source="/etc", destination="/dev"),)}),
    "read-only root": Case({}, {"ReadonlyRootfs": True}, {"readonly_rootfs": True}),
    "devices": Case(
        {},
        {
            "Devices": [
                {"PathOnHost": "/dev/zero", "PathInContainer": "/dev/mine", "CgroupPermissions": "rw"}
            ],
            "DeviceCgroupRules": ["c 10:* rwm", "b *:* r"],
        },
        {
            "devices": tuple(ZERO),
            "device_rules": (*ZERO_RULES, devices.parse_rule("c 10:* rwm"), devices.parse_rule("b *:* r")),
        },
    ),
    "capabilities": Case(
        {}, {"CapAdd": ["net_admin"], "CapDrop": ["CHOWN"]},
        {"capabilities": capabilities.resolve(["net_admin"], ["CHOWN"])},
    ),
    "privileged": Case(
        {}, {"Privileged": True},
        {"privileged": True, "seccomp": None, "capabilities": EVERYTHING,
         "devices": tuple(devices.host_devices())},
    ),
    "privileged read-only": Case(
        {}, {"Privileged": True, "ReadonlyRootfs": True},
        {"privileged": True, "seccomp": None, "capabilities": EVERYTHING, "readonly_rootfs": True,
         "devices": tuple(devices.host_devices())},
    ),
    "host namespaces": Case(
        {}, {"NetworkMode": "host", "PidMode": "host", "IpcMode": "host", "UTSMode": "host"},
        {
            "namespaces": Namespaces(network=HOST, own_network=False, pid=HOST, ipc=HOST, uts=HOST),
            "mounts": (Bind(source="/dev/shm", destination="/dev/shm"),),
        },
    ),
    "no shm": Case({}, {"IpcMode": "none"}, {"shm_size": None}),
    "own cgroup namespace": Case(
        {}, {"CgroupnsMode": "private"}, {"namespaces": Namespaces(cgroup="new")}
    ),
    "shm": Case({}, {"IpcMode": "private", "ShmSize": MIB}, {"shm_size": MIB}),
    "security": Case(
        {}, {"SecurityOpt": ["no-new-privileges", "seccomp=unconfined"]},
        {"no_new_privileges": True, "seccomp": None},
    ),
    "nothing hidden": Case(
        {}, {"MaskedPaths": [], "ReadonlyPaths": ["/proc/bus"]},
        {"masked_paths": (), "readonly_paths": ("/proc/bus",)},
    ),
    "names": Case(
        {"Hostname": "h", "Domainname": "d.example"},
        {"Sysctls": {"net.ipv4.ip_forward": "1", "net.ipv4.ip_unprivileged_port_start": "80"},
         "Annotations": {"a": "b"}, "CgroupParent": "/peerspec"},
        {"hostname": "h", "domainname": "d.example", "annotations": {"a": "b"},
         "env": environment([], [], "h"),
         "sysctls": {"net.ipv4.ip_forward": "1", "net.ipv4.ip_unprivileged_port_start": "80"},
         "cgroups_path": "/peerspec/{id}"},
    ),
}  # fmt: skip


def _version(theirs: Spec) -> None:
    theirs["ociVersion"] = build.VERSION


def _hooks(theirs: Spec) -> None:
    theirs.pop("hooks", None)


def _device_rules_twice(theirs: Spec) -> None:
    rules = theirs["linux"]["resources"]["devices"]
    half = len(devices.DEFAULT_RULES)
    if rules[:half] == rules[half : 2 * half]:
        del rules[:half]


def _void_device_rules(theirs: Spec) -> None:
    rules = theirs["linux"]["resources"]["devices"]
    if rules[-1] == devices.EVERYTHING[0].to_oci():
        del rules[:-1]


def _newly_masked(theirs: Spec) -> None:
    hidden = theirs["linux"].get("maskedPaths")
    if hidden:
        hidden.extend(["/proc/interrupts", *masked.thermal_paths()])


DIFFERENCES: dict[str, Callable[[Spec], None]] = {
    "an older version that crun and runc 1.1 both take": _version,
    "the network namespace is made by the network package, not in a hook": _hooks,
    "dockerd appends the device rules to themselves": _device_rules_twice,
    "a privileged container's one rule makes the defaults before it void": _void_device_rules,
    "/proc/interrupts and thermal_throttle are hidden since GHSA-6fw5-f8r9-fgfm": _newly_masked,
}
_met = LEDGER.listed["build"]


def normalized(spec: Spec) -> Spec:
    """Drop what says nothing and the order of what has none."""
    result: Spec = copy.deepcopy(spec)
    for key in ("maskedPaths", "readonlyPaths"):
        result["linux"][key] = sorted(result["linux"].get(key) or [])
    for kind, names in result["process"]["capabilities"].items():
        result["process"]["capabilities"][kind] = sorted(names)
    for rule in (result["linux"].get("seccomp") or {}).get("syscalls", ()):
        del rule["names"]  # compared call by call elsewhere
    if "seccomp" in result["linux"]:
        result["linux"]["seccomp"] = "present"
    result["process"]["user"]["additionalGids"] = sorted(result["process"]["user"]["additionalGids"])
    said = pruned(result)
    assert isinstance(said, dict)
    return said


def pruned(value: Any) -> Any:
    """Drop empty members of objects, and booleans that Go leaves out when false."""
    if isinstance(value, list):
        return [pruned(element) for element in value]
    if not isinstance(value, dict):
        return value
    kept = {key: pruned(element) for key, element in value.items()}
    silent = ("readonly", "terminal", "noNewPrivileges")
    return {
        key: element
        for key, element in kept.items()
        if element not in (None, "", [], {}) and not (key in silent and element is False)
    }


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return every leaf by its path, so that a failure names what differs."""
    if isinstance(value, dict):
        pairs = [(f"{path}.{key}", element) for key, element in value.items()]
    elif isinstance(value, list):
        pairs = [(f"{path}[{index}]", element) for index, element in enumerate(value)]
    else:
        return {path: value}
    return {leaf: found for name, element in pairs for leaf, found in flat(element, name).items()}


def differences(ours: Spec, theirs: Spec) -> dict[str, tuple[Any, Any]]:
    """Return what is not the same by its path: (ours, theirs), None for what is not there."""
    mine, other = flat(ours), flat(theirs)
    paths = sorted(mine.keys() | other.keys())
    return {path: (mine.get(path), other.get(path)) for path in paths if mine.get(path) != other.get(path)}


def expected_of(captured: Captured) -> Spec:
    """Return dockerd's spec with the listed differences applied, and note which of them there were."""
    spec = copy.deepcopy(captured.spec)
    for reason, apply in DIFFERENCES.items():
        before = copy.deepcopy(spec)
        apply(spec)
        if spec != before:
            _met.add(reason)
    return normalized(spec)


def plain_options(captured: Captured, case: Case) -> dict[str, Any]:
    """Return a plain container's options: what only dockerd can know is read from its spec."""
    spec = captured.spec
    files = {entry["destination"]: entry["source"] for entry in spec["mounts"]}
    read_only = bool(case.host.get("ReadonlyRootfs"))
    own = tuple(Bind(source=files[path], destination=path, read_only=read_only, recursive_read_only=True)
                for path in OWN_FILES)  # fmt: skip
    hostname = captured.id[:12]
    return {
        "args": ("true",),
        "env": environment([], [], spec.get("hostname", "") or _hostname(spec)),
        "rootfs": spec["root"]["path"],
        "cgroups_path": f"/docker/{captured.id}",
        "hostname": hostname,
        "seccomp": default_profile(capabilities.DEFAULT),
        "resources": Resources(oom_kill_disable=False),
        "mounts": own,
    }


def _hostname(spec: Spec) -> str:
    """Return the host's name, which a container in its UTS namespace has in its environment."""
    return next(str(entry[9:]) for entry in spec["process"]["env"] if entry.startswith("HOSTNAME="))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_config_json(capturing: Capturing, case: Case) -> None:
    captured = capturing.capture({"Cmd": ["true"], **case.config}, case.host)
    options = plain_options(captured, case)
    mounts = (*case.options.get("mounts", ()), *options["mounts"])
    options |= {**case.options, "mounts": mounts}
    options["cgroups_path"] = options["cgroups_path"].format(id=captured.id)
    ours = normalized(build.build(SpecOptions(**options)))
    theirs = expected_of(captured)
    assert {entry["destination"]: entry for entry in ours["mounts"]} == {
        entry["destination"]: entry for entry in theirs["mounts"]
    }
    assert _depths(ours) == _depths(theirs)
    del ours["mounts"], theirs["mounts"]
    assert differences(ours, theirs) == {}


def _depths(spec: Spec) -> list[int]:
    """Return the order of mounts as far as it is one: dockerd's is random among equals (a Go map)."""
    return [entry["destination"].count("/") for entry in spec["mounts"][-6:]]


def test_every_listed_difference_is_there() -> None:
    """Runs after the others (conftest.py): a difference that no longer is one must leave the table."""
    if not _met:
        pytest.skip("nothing was compared")
    assert DIFFERENCES.keys() - _met == set()
