"""Before the time is taken: what the contenders' containers are must be the same, so that nobody is fast by doing less.

Facts come from the kernel: /proc of the container's init, its cgroups, and the port that it published.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.bench.client import Client, WrongSample, expect
from tests.bench.contest import Contender, Contest
from tests.bench.groups.runs import KINDS

STATUS = ("Uid", "Gid", "Groups", "Umask", "NoNewPrivs", "Seccomp", "Seccomp_filters")
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
LIMITS: dict[str, Any] = {
    "Memory": 64 << 20,
    "MemoryReservation": 32 << 20,
    "PidsLimit": 100,
    "CpuShares": 512,
    "CpuPeriod": 100_000,
    "CpuQuota": 50_000,
    "CpusetCpus": "0",
}
CGROUP_FILES = (
    *(
        "memory.limit_in_bytes",
        "memory.soft_limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "memory.oom_control",
    ),
    *("memory.max", "memory.low", "memory.swap.max", "pids.max", "devices.list", "blkio.weight", "io.weight"),
    *(
        "cpu.shares",
        "cpu.cfs_period_us",
        "cpu.cfs_quota_us",
        "cpu.max",
        "cpu.weight",
        "cpuset.cpus",
        "cpuset.mems",
    ),
)
# Docker masks it since its release 27, and wherry does as the newest does.
MASKED_BY_US_ALONE = "/proc/interrupts"
SERVE = ("nc", "-ll", "-p", "80", "-e", "echo", "hello")


class Unequal(AssertionError):
    """The contenders' containers are not the same."""


def check(contest: Contest) -> list[str]:
    """Compare containers of each kind of network, with limits and without: a line for each kind.

    Errors: Unequal with all differences; WrongSample when a published port does not answer.
    """
    runtimes = {_runtime(each.client) for each in contest.contenders}
    if len(runtimes) > 1:
        raise Unequal(f"they run {' and '.join(runtimes)}")
    lines = []
    for name, how in KINDS.items():
        for limits in ({}, LIMITS):
            told = {each.name: _of_one(each, how, limits) for each in contest.contenders}
            first, *others = told.values()
            if wrong := [line for other in others for line in _differences(first, other)]:
                raise Unequal("\n".join([f"{name}, limits {limits}:", *wrong]))
        lines.append(f"{name}: {len(first)} facts are equal, {len(first['mounts'])} mounts among them")
    return lines


def _runtime(client: Client) -> str:
    components = client.call("GET", "version")["Components"]
    (version,) = (each["Version"] for each in components if each["Name"] == "runc")
    return f"runc {version}"


def _differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    different = [key for key in sorted(ours.keys() | theirs.keys()) if ours.get(key) != theirs.get(key)]
    return [f"  {key}: {ours.get(key)}\n      dockerd: {theirs.get(key)}" for key in different]


def _of_one(contender: Contender, how: dict[str, Any], limits: dict[str, Any]) -> dict[str, Any]:
    client = contender.client
    container = client.create(*SERVE, **{**how, "host": {**how.get("host", {}), **limits}})
    try:
        client.start(container)
        told = client.inspect(container)
        process = _of_process(told["State"]["Pid"], container, contender)
        facts = {**process, **_of_log(client, told)}
        for bindings in (told["NetworkSettings"]["Ports"] or {}).values():
            facts["published"] = _answer(contender, int(bindings[0]["HostPort"]))
        return facts
    finally:
        client.remove(container)


def _of_process(pid: int, container: str, contender: Contender) -> dict[str, Any]:
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    facts: dict[str, Any] = {name: status[name].split() for name in (*STATUS, *CAPABILITIES)}
    groups = (process / "cgroup").read_text().replace(container, "<id>").splitlines()
    own, host = (
        {name: (base / name).readlink() for name in ("net", "mnt", "pid", "uts", "ipc", "user", "cgroup")}
        for base in (process / "ns", Path(f"/proc/{contender.daemon.pid}/ns"))
    )
    return {
        **facts,
        "limits of resources": (process / "limits").read_text(),
        "oom_score_adj": (process / "oom_score_adj").read_text(),
        "mounts": mounts((process / "mountinfo").read_text(), container, contender.daemon.root.name),
        "interfaces": [
            line.split(":")[0].strip() for line in (process / "net/dev").read_text().splitlines()[2:]
        ],
        "namespaces of its own": [name for name in own if own[name] != host[name]],
        "cgroups": sorted(groups),
        **_of_cgroups((process / "cgroup").read_text()),
    }


def mounts(mountinfo: str, container: str, root: str) -> list[tuple[str, ...]]:
    """Where, what, how and of what kind each mount is.

    `root`: the name of a daemon's root. Of a file below it, its own name alone; which disk it is on does not matter.
    """
    found = []
    for line in mountinfo.splitlines():
        fields, _, source = line.partition(" - ")
        within, point, options = fields.split()[3:6]
        kind, _, more = source.split(" ", 2)
        if kind == "overlay" or root in within:
            within, more = Path(within).name, ""
        if point != MASKED_BY_US_ALONE:
            found.append((point, within.replace(container, "<id>"), options, kind, more))
    return sorted(found)


def _of_cgroups(groups: str) -> dict[str, str]:
    facts = {}
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        hierarchy = controllers.removeprefix("name=") or "unified"
        base = Path("/sys/fs/cgroup", hierarchy)
        directory = (base if base.exists() else base.parent) / path.lstrip("/")
        for name in CGROUP_FILES:
            if (directory / name).exists():
                facts[f"{hierarchy} {name}"] = (directory / name).read_text()
    return facts


def _of_log(client: Client, told: dict[str, Any]) -> dict[str, Any]:
    container = client.create("echo", "hello", network="none")
    client.start(container)
    client.raw("POST", f"containers/{container}/wait")
    record = json.loads(Path(client.inspect(container)["LogPath"]).read_text())
    client.remove(container)
    config = told["HostConfig"]["LogConfig"]
    expect(config["Type"] == "json-file", f"the log driver is {config}")
    return {
        "log driver": config,
        "log record": {**record, "time": len(record["time"]) > len("2006-01-02T15:04:05Z")},
    }


def _answer(contender: Contender, port: int) -> bytes:
    """What the published port says to one who connects on the daemon's host."""
    inside = ["nsenter", "--target", str(contender.daemon.pid), "--net"]
    argv = [*inside, "busybox", "nc", "-w", "2", "127.0.0.1", str(port)]
    for _ in range(20):
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
        if done.stdout:
            return done.stdout
    raise WrongSample(f"{contender.name}: nobody answers on the published port {port}: {done}")
