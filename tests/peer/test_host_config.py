"""Fields of HostConfig, good, bad and odd: the answers at the creation and the start, and the record in between."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.peer.between import of_values
from tests.peer.comparison import differences, judged, require
from tests.peer.ledger import Request
from tests.peer.peer import Both

pytestmark = pytest.mark.root

Host = dict[str, Any]
MIB = 1 << 20
BIND = {"Type": "bind", "Source": "/usr", "Target": "/b"}
FORCED = {"ReadOnlyForceRecursive": True}
TMPFS = {"Type": "tmpfs", "Target": "/t"}


def log(**options: str) -> Host:
    return {
        "LogConfig": {
            "Type": "json-file",
            "Config": {name.replace("_", "-"): v for name, v in options.items()},
        }
    }


def device(path: str, inside: str = "/dev/x", access: str = "rwm") -> Host:
    return {"Devices": [{"PathOnHost": path, "PathInContainer": inside, "CgroupPermissions": access}]}


def ulimit(name: str, soft: int, hard: int) -> Host:
    return {"Ulimits": [{"Name": name, "Soft": soft, "Hard": hard}]}


CREATED: list[Host] = [
    {"CpuQuota": -5},
    {"CpuPeriod": -1},
    {"NanoCpus": 10_000_000},
    {"CpusetCpus": "1,0"},
    {"CpusetCpus": "0-9999"},
    {"CpusetCpus": "0,"},
    {"CpusetCpus": " 0"},
    {"CpusetMems": "0-1"},
    {"Memory": 64 * MIB},
    {"Memory": 64 * MIB, "MemorySwap": -2},
    {"Memory": 1 << 62},
    {"MemoryReservation": -1},
    {"MemorySwappiness": 0},
    {"OomScoreAdj": -1001},
    {"PidsLimit": 1 << 40},
    {"Ulimits": []},
    ulimit("NOFILE", 1, 5),
    ulimit("as", 1 << 40, 1 << 40),
    {"ShmSize": 1 << 50},
    {"Sysctls": {}},
    {"Sysctls": {"": "x"}},
    {"IpcMode": "Host"},
    {"IpcMode": "shareable"},
    {"IpcMode": "container:hc"},
    {"PidMode": "private"},
    {"UTSMode": "private"},
    {"CgroupnsMode": "private", "Privileged": True},
    {"GroupAdd": []},
    {"Devices": []},
    {"Annotations": {"a.b": ""}},
    {"Init": False},
    {"ExtraHosts": ["a=1.2.3.4"]},
    {"ExtraHosts": ["a:"]},
    {"ExtraHosts": [":1.2.3.4"]},
    {"ExtraHosts": ["a:[::1]"]},
    {"ExtraHosts": ["a:1.2.3.4 "]},
    {"Dns": ["1.1.1.1"], "DnsOptions": ["ndots:2", "bad option"], "DnsSearch": ["a.b", "."]},
    {"Dns": ["1.1.1.1;x"]},
    log(labels="a,b", env="X", tag="{{.Name}}"),
    log(tag="{{.Nope"),
    log(max_file="0"),
    log(max_file="3"),
    log(max_size="-1"),
    log(mode="non-blocking", max_buffer_size="1m"),
    log(max_buffer_size="1m"),
    {"BlkioWeightDevice": [{"Path": "/dev/loop0", "Weight": 100}]},
    {"Mounts": [BIND | {"ReadOnly": False, "BindOptions": {"ReadOnlyNonRecursive": True}}]},
    {"Mounts": [BIND | {"ReadOnly": True, "BindOptions": FORCED | {"ReadOnlyNonRecursive": True}}]},
    {"Mounts": [BIND | {"Consistency": "bad"}]},
    {"CgroupParent": "/a" * 2000},
]  # fmt: skip
VERSIONED: list[Host] = [
    {"Binds": ["/usr:/b:ro"]},
    {"Mounts": [BIND | {"ReadOnly": True}]},
    {"Mounts": [BIND | {"ReadOnly": True, "BindOptions": {}}]},
    {"Mounts": [BIND | {"ReadOnly": True, "BindOptions": {"ReadOnlyNonRecursive": True}}]},
    {"Mounts": [BIND | {"ReadOnly": True, "BindOptions": {"ReadOnlyForceRecursive": True}}]},
    {"Mounts": [BIND | {"ReadOnly": True, "BindOptions": {"NonRecursive": True}}]},
    {"Mounts": [BIND | {"BindOptions": {"CreateMountpoint": True}}]},
    {"Mounts": [TMPFS | {"TmpfsOptions": {"SizeBytes": MIB, "Mode": 0o700}}]},
    {"Mounts": [TMPFS | {"ReadOnly": True, "BindOptions": {}}]},
    {"IpcMode": "", "CgroupnsMode": "", "ConsoleSize": [3, 4], "Annotations": {"a": "b"}, "PidsLimit": 0},
    {"Privileged": True},
    {"KernelMemory": 8 * MIB, "KernelMemoryTCP": 8 * MIB},
]
STARTED: list[Host] = [
    {"CpuShares": 1},
    {"NanoCpus": 1},
    {"Sysctls": {"kernel.pid_max": "1000"}},
    {"Sysctls": {"net.nope": "1"}},
    {"Sysctls": {"net.ipv4.ip_forward": "x"}},
    {"Sysctls": {"net.ipv4.ip_forward": "1"}, "NetworkMode": "host"},
    {"Sysctls": {"kernel.shmmax": "1000"}, "IpcMode": "host"},
    {"Sysctls": {"kernel.domainname": "x"}, "UTSMode": "host"},
    ulimit("nofile", 1 << 60, 1 << 60),
    {"GroupAdd": ["-5"]},
    {"GroupAdd": ["a:b"]},
    device("/nope"),
    device("/etc/passwd"),
    device("/dev/null", "rel"),
    {"Devices": [{"PathOnHost": "/dev/null"}]},
    {"BlkioDeviceReadBps": [{"Path": "/nope", "Rate": 1000}]},
    {"Mounts": [BIND | {"BindOptions": {"Propagation": "rslave"}}]},
]
STOP_SIGNALS = ("SIGUSR1", "9", "SIGRTMIN+3", "rtmax", "")


@pytest.fixture(autouse=True)
def _removed(both: Both) -> Iterator[None]:
    yield
    remove(both)


def remove(both: Both) -> None:
    both("DELETE", "/containers/hc?force=1&v=1")


def found(both: Both, host: Host, version: str = "1.45", *, start: bool = False, **config: Any) -> list[str]:
    """The differences of a container's creation, of what is told of it, and of its start; it is removed."""
    body = {
        "HostConfig": {"NetworkMode": "none", **host},
        "Image": "busybox",
        "Cmd": ["sleep", "600"],
        **config,
    }
    if "NetworkMode" in host:
        body["HostConfig"] = host
    text = f"/hc {json.dumps(host)} {json.dumps(config)}"
    lines = differences(both, "POST", "/containers/create?name=hc", body, version=version)
    ours, theirs = both("GET", "/containers/hc/json", version=version)
    if ours.status == theirs.status == 200:
        request = Request("GET /containers/{name}/json", version, text)
        lines += [
            line
            for part in ("HostConfig", "Mounts", "Config")
            for line in of_values(request, {part: shown(ours.body[part])}, {part: shown(theirs.body[part])})
        ]
        if start:
            request = Request("POST /containers/{name}/start", version, text)
            lines += judged(request, *both("POST", "/containers/hc/start", version=version))
    remove(both)
    return [f"{text}: {line}" for line in lines]


def shown(part: Any) -> Any:
    """What is compared of it: the paths that are masked are later engines', and a host name has its own tests."""
    if not isinstance(part, dict):
        return part
    return {name: value for name, value in part.items() if name not in ("MaskedPaths", "Hostname")}


def test_created(both: Both) -> None:
    require([line for host in CREATED for line in found(both, host)])


@pytest.mark.parametrize("version", ["1.40", "1.43", "1.44", "1.45"])
def test_by_version(both: Both, version: str) -> None:
    require([line for host in VERSIONED for line in found(both, host, version)])


def test_started(both: Both) -> None:
    require([line for host in STARTED for line in found(both, host, start=True)])


def test_exposed_ports_that_are_none(both: Both) -> None:
    """They are noted, and what is a port among them is."""
    exposed: dict[str, Host] = {"80/foo": {}, "foo": {}, "": {}, "90-80/tcp": {}, "0/tcp": {}, "7": {}}
    require(found(both, {}, start=True, ExposedPorts=exposed))


def test_the_hosts_uts_namespace_gets_no_domain_name(both: Both) -> None:
    require(found(both, {"UTSMode": "host"}, start=True, Domainname="example"))


def test_stop_signals(both: Both) -> None:
    require([line for signal in STOP_SIGNALS for line in found(both, {}, StopSignal=signal)])
