"""What the kernel has of a container by fields of HostConfig: the same by both daemons."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests import kernel
from tests.peer.between import of_values
from tests.peer.comparison import judged, require
from tests.peer.ledger import Request
from tests.peer.masks import mask
from tests.peer.peer import Both
from tests.unix_http import call
from tests.waiting import eventually

pytestmark = pytest.mark.root

Host = dict[str, Any]
MIB = 1 << 20
FILES = (
    "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.swappiness",
    "memory.oom_control", "cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpuset.cpus", "cpuset.mems",
    "pids.max", "devices.list",
)  # fmt: skip
STATUS = (
    "Uid",
    "Gid",
    "Groups",
    "CapEff",
    "CapBnd",
    "CapInh",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Cpus_allowed_list",
)
SYSCTLS = (
    "kernel/shmmax", "kernel/domainname", "kernel/hostname", "fs/mqueue/msg_max", "net/ipv4/ip_forward",
    "net/ipv4/ip_unprivileged_port_start", "net/ipv4/ping_group_range",
)  # fmt: skip
BELOW_DEV = re.compile("/b(/[^/]+)?")
BIND = {"Type": "bind", "Source": "/dev", "Target": "/b", "ReadOnly": True}  # with mounts below it
CASES: list[Host] = [
    {
        "CpuShares": 512, "CpuPeriod": 50_000, "CpuQuota": 25_000, "CpusetCpus": "1", "CpusetMems": "0",
        "PidsLimit": 55, "Memory": 64 * MIB, "MemorySwap": 96 * MIB, "MemoryReservation": 32 * MIB,
        "MemorySwappiness": 7, "OomKillDisable": True, "OomScoreAdj": 77, "ShmSize": 3 * MIB,
    },
    {"NanoCpus": 750_000_000, "Memory": 64 * MIB, "PidsLimit": -1, "IpcMode": "shareable", "ShmSize": 2 * MIB},
    {
        "Sysctls": {
            "kernel.shmmax": "1000000", "net.ipv4.ip_forward": "1", "fs.mqueue.msg_max": "20",
            "kernel.domainname": "other", "net.ipv4.ip_unprivileged_port_start": "80",
        },
        "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}, {"Name": "core", "Soft": 0, "Hard": -1}],
        "GroupAdd": ["50", "777"], "Init": True, "ReadonlyRootfs": True, "IpcMode": "shareable",
        "Devices": [
            {"PathOnHost": "/dev/loop0", "PathInContainer": "/dev/mine", "CgroupPermissions": "r"},
            {"PathOnHost": "/dev/null", "PathInContainer": "/dev/deep/null", "CgroupPermissions": "rwm"},
        ],
    },
    {"IpcMode": "none", "PidMode": "host", "CgroupnsMode": "private", "CpuQuota": -1, "Memory": 1 << 62},
    {"IpcMode": "host", "CgroupnsMode": "host", "Memory": 64 * MIB, "MemorySwap": -1},
    {"IpcMode": "shareable", "Tmpfs": {"/dev/shm": "size=1m", "/t": "size=1m,mode=700,exec"}},
    {
        "NetworkMode": "bridge", "ExtraHosts": ["a:1.2.3.4", "b:host-gateway", "c:::1"],
        "Dns": ["1.1.1.1", "9.9.9.9"], "DnsOptions": ["ndots:2", "timeout:1"], "DnsSearch": ["a.b", "c.d"],
    },
]  # fmt: skip
BOUND: list[Host] = [
    {"Binds": ["/dev:/b:ro"]},
    {"Mounts": [BIND]},
    {"Mounts": [BIND | {"BindOptions": {"ReadOnlyNonRecursive": True}}]},
]


@pytest.fixture(autouse=True)
def _removed(both: Both) -> Iterator[None]:
    yield
    for name in ("hc", "donor", "joins"):
        both("DELETE", f"/containers/{name}?force=1&v=1")


def run(both: Both, name: str, host: Host, version: str = "1.45", **config: Any) -> list[str]:
    """Run a container on both sides; the differences of the answers."""
    config = {"Image": "busybox", "Cmd": ["sleep", "600"], **config}
    body = {**config, "HostConfig": {"NetworkMode": "none", "MaskedPaths": [], **host}}
    made = both("POST", f"/containers/create?name={name}", body, version=version)
    request = Request("POST /containers/{name}/start", version, f"/{name} {json.dumps(host)}")
    if made[0].status != 201 or made[1].status != 201:
        return judged(request, *made)
    return judged(request, *both("POST", f"/containers/{name}/start"))


def process(side: Any, name: str) -> int:
    """A container's first process, 0 for none, once it is its program: a start is told while it is the runtime's."""
    pid: int = call(side.socket, "GET", f"/v1.45/containers/{name}/json").json["State"]["Pid"]
    if pid:
        eventually(lambda: not kernel.name(pid).startswith("runc"))
    return pid


def facts(side: Any, name: str) -> dict[str, Any]:
    """All that is compared of a running container."""
    pid = process(side, name)
    read = ["nsenter", "-t", str(pid), "-n", "-u", "-i", "cat", *(f"/proc/sys/{path}" for path in SYSCTLS)]
    status = kernel.status(pid)
    return {
        "cgroup": {file: kernel.cgroup(pid, file) for file in FILES},
        "limits": kernel.limits(pid),
        "oom_score_adj": kernel.oom_score_adj(pid),
        "status": {line: status[line] for line in STATUS},
        "namespaces": {kind: kernel.of_host(pid, kind) for kind in ("ipc", "pid", "uts", "cgroup", "user", "mnt")},
        "mounts": {target: flags(entry) for target, entry in kernel.mounts(pid).items()},
        "sysctls": subprocess.run(read, capture_output=True, text=True, check=True).stdout.split("\n"),
        "files": {path: mask(kernel.file(pid, path)) for path in ("/etc/hosts", "/etc/resolv.conf")},
        "command": kernel.file(pid, f"/proc/{status['NSpid'].split()[-1]}/cmdline"),
    }  # fmt: skip


def flags(entry: Any) -> list[str]:
    """A mount's options, and those of its file system but for the places of an overlay."""
    told = entry._asdict()
    of_fs = "" if told["type"] == "overlay" else told["super_options"]
    return [told["type"], *sorted({*told["options"].split(","), *of_fs.split(",")}), *told["propagation"]]


@pytest.mark.parametrize("host", CASES, ids=lambda host: ",".join(host))
def test_all_of_it(both: Both, host: Host) -> None:
    require(run(both, "hc", host, Hostname="web"))
    ours, theirs = (facts(side, "hc") for side in (both.wherryd, both.peer))
    require(of_values(Request("kernel", "1.45", json.dumps(host)), ours, theirs))


@pytest.mark.parametrize("extra", [[], ["a:1.2.3.4", "b:host-gateway"]], ids=json.dumps)
def test_hosts_of_the_hosts_network(both: Both, extra: list[str]) -> None:
    """The host's own file, or one that is written for the container."""
    require(run(both, "hc", {"NetworkMode": "host", "ExtraHosts": extra}))
    ours, theirs = (facts(side, "hc")["files"]["/etc/hosts"] for side in (both.wherryd, both.peer))
    assert ours == theirs


@pytest.mark.parametrize("version", ["1.40", "1.43", "1.44", "1.45"])
def test_read_only_binds(both: Both, version: str) -> None:
    found = []
    for host in BOUND:
        found += run(both, "hc", host, version)
        ours, theirs = (below_bind(side) for side in (both.wherryd, both.peer))
        assert len(theirs) > 2
        found += of_values(Request("kernel", version, json.dumps(host)), ours, theirs)
        both("DELETE", "/containers/hc?force=1")
    require(found)


def below_bind(side: Any) -> dict[str, list[str]]:
    """What of /dev itself is mounted there; deeper ones may be of other tests, and come and go."""
    found = kernel.mounts(process(side, "hc"))
    return {target: flags(entry) for target, entry in found.items() if BELOW_DEV.fullmatch(target)}


DONORS: list[Host] = [
    {"IpcMode": "shareable"},
    {"IpcMode": "private"},
    {"IpcMode": "none"},
    {"IpcMode": "host"},
    {"IpcMode": "shareable", "Tmpfs": {"/dev/shm": ""}},
    {"IpcMode": "shareable", "Binds": ["/tmp:/dev/shm"]},
]


@pytest.mark.parametrize("donor", DONORS, ids=json.dumps)
def test_joining(both: Both, donor: Host) -> None:
    """Who joins is let in or told why not, and shares the namespace and /dev/shm with its true size."""
    found = run(both, "donor", donor) + run(both, "joins", {"IpcMode": "container:donor", "ShmSize": 5 * MIB})
    require(found)
    assert shared(both.wherryd) == shared(both.peer)


def shared(side: Any) -> list[Any]:
    pids = [process(side, name) for name in ("donor", "joins")]
    if 0 in pids:
        return []
    donor, joins = (kernel.mounts(pid)["/dev/shm"] for pid in pids)
    same = kernel.namespace(pids[0], "ipc") == kernel.namespace(pids[1], "ipc")
    return [same, donor.device == joins.device, flags(donor), flags(joins)]


@pytest.mark.parametrize("kind", ["IpcMode", "PidMode"])
def test_a_donor_that_does_not_run(both: Both, kind: str) -> None:
    require(run(both, "donor", {"IpcMode": "shareable"}))
    both("POST", "/containers/donor/stop?t=0")
    require(run(both, "joins", {kind: "container:donor"}))
