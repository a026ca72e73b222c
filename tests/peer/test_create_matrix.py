"""A matrix of create requests, each field good, bad and odd, and many at once: answers, warnings and records alike.

Nothing is started. The table is complete: `test_every_field_is_in_it` holds it against all that a request may say.
"""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from engine.containers.config import ContainerConfig, HostConfig
from tests.peer.between import of_values
from tests.peer.comparison import differences, require
from tests.peer.ledger import Request
from tests.peer.peer import Both

pytestmark = pytest.mark.root

MIB = 1 << 20
NAME = "matrix"
CONFIG: dict[str, list[Any]] = {
    "Hostname": ["web", "a.b.c"],
    "Domainname": ["example.org"],
    "User": ["1000", "nobody:5", "0:0"],
    "AttachStdin": [True],
    "AttachStdout": [True],
    "AttachStderr": [True],
    "ExposedPorts": [{"80/tcp": {}, "53/udp": {}}, {"9": {}}, {}],
    "Tty": [True],
    "OpenStdin": [True],
    "StdinOnce": [True],
    "Env": [["A=1", "B", "C="], []],
    "Cmd": [["a", "b"], "one", []],
    "Healthcheck": [{"Test": ["NONE"]}, {"Interval": 5}, {"Retries": -1}],
    "ArgsEscaped": [True],
    "Image": ["busybox:latest", "nosuch/image:tag", "Bad"],
    "Volumes": [{"/data": {}}, {"relative": {}}, {}],
    "WorkingDir": ["/a/b", "rel", "/a/../b/"],
    "Entrypoint": [["sh", "-c"], "sh", []],
    "NetworkDisabled": [True],
    "MacAddress": ["02:42:ac:11:00:aa", "bad"],
    "OnBuild": [["RUN true"], []],
    "Labels": [{"a": "b", "": "x"}, {}],
    "StopSignal": ["SIGUSR1", "9", "SIGNOPE"],
    "StopTimeout": [0, -1, 77],
    "Shell": [["/bin/ash"], []],
}
HOST: dict[str, list[Any]] = {
    "Binds": [["/usr:/u:ro"], ["vol:/v"], ["/usr"], ["/usr:/u:bad"], []],
    "ContainerIDFile": ["/tmp/cid"],
    "LogConfig": [{"Type": "none"}, {"Type": "json-file", "Config": {"max-size": "1m"}}],
    "NetworkMode": ["bridge", "host", "default", "container:nosuch"],
    "PortBindings": [{"80/tcp": [{"HostPort": "8080"}]}, {"80/tcp": []}, {}],
    "RestartPolicy": [{"Name": "always"}, {"Name": "on-failure", "MaximumRetryCount": 3}, {"Name": "x"}],
    "AutoRemove": [True],
    "VolumeDriver": ["local"],
    "VolumesFrom": [["nosuch"], []],
    "Mounts": [
        [{"Type": "tmpfs", "Target": "/t"}],
        [{"Type": "bind", "Source": "/usr", "Target": "/u", "ReadOnly": True}],
        [{"Type": "volume", "Source": "vol", "Target": "/v", "VolumeOptions": {"NoCopy": True}}],
        [{"Type": "nosuch", "Target": "/t"}],
        [],
    ],
    "ConsoleSize": [[24, 80], [0, 0]],
    "Annotations": [{"a": "b"}, {}],
    "CapAdd": [["NET_ADMIN"], ["ALL"], ["NOPE"], []],
    "CapDrop": [["CHOWN"], ["ALL"], ["NOPE"]],
    "CgroupnsMode": ["private", "host", "bad"],
    "Dns": [["1.1.1.1"], []],
    "DnsOptions": [["ndots:2"], []],
    "DnsSearch": [["a.b"], []],
    "ExtraHosts": [["a:1.2.3.4"], ["bad"], []],
    "GroupAdd": [["5", "staff"], []],
    "IpcMode": ["none", "private", "shareable", "host", "bad"],
    "Cgroup": ["container:x", "bad"],
    "Links": [["nosuch:x"], []],
    "OomScoreAdj": [-500, 1000, 1001],
    "PidMode": ["host", "bad"],
    "Privileged": [True],
    "PublishAllPorts": [True],
    "ReadonlyRootfs": [True],
    "SecurityOpt": [["no-new-privileges"], ["seccomp=unconfined"], ["label=disable"], ["bad=x"], []],
    "StorageOpt": [{}],
    "Tmpfs": [{"/t": "size=1m"}, {"/t": "bad"}, {}],
    "UTSMode": ["host", "bad"],
    "UsernsMode": ["host"],
    "ShmSize": [MIB, -1],
    "Sysctls": [{"net.ipv4.ip_forward": "1"}, {}],
    "Runtime": ["runc", "io.containerd.runc.v2", "nosuch", "/usr/bin/runc"],
    "Isolation": ["default", "process", "hyperv"],
    "MaskedPaths": [[], ["/proc/x"]],
    "ReadonlyPaths": [[], ["/proc/x"]],
    "Init": [True, False],
    "CpuShares": [0, 1, 2, 1024, 1 << 20],
    "Memory": [64 * MIB, 6 * MIB - 1, 1, -1],
    "NanoCpus": [10_000_000, 1, -1, 10**15],
    "CgroupParent": ["/a", "a/b", "a.slice"],
    "BlkioWeight": [10, 9, 1001, 500],
    "BlkioWeightDevice": [[{"Path": "/dev/loop0", "Weight": 100}], [{"Path": "/nope", "Weight": 5}], []],
    "BlkioDeviceReadBps": [[{"Path": "/dev/loop0", "Rate": 1000}], [{"Path": "/nope", "Rate": 1}], []],
    "BlkioDeviceWriteBps": [[{"Path": "/dev/loop0", "Rate": 1000}], [{"Path": "/nope", "Rate": -1}], []],
    "BlkioDeviceReadIOps": [[{"Path": "/dev/loop0", "Rate": 1000}], []],
    "BlkioDeviceWriteIOps": [[{"Path": "/dev/loop0", "Rate": 1000}], []],
    "CpuPeriod": [50_000, 999, 1_000_001, -1],
    "CpuQuota": [25_000, 999, -1],
    "CpuRealtimePeriod": [1_000_000],
    "CpuRealtimeRuntime": [1000],
    "CpusetCpus": ["0", "0-1", "7-3", "99", "a", "0,,1"],
    "CpusetMems": ["0", "9"],
    "Devices": [[{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "r"}], []],
    "DeviceCgroupRules": [["c 1:3 rwm"], []],
    "DeviceRequests": [
        [{"Driver": "cdi", "DeviceIDs": ["v.com/c=x"]}],
        [{"Count": -1, "Capabilities": [["gpu"]], "Options": {"a": "b"}}],
        [{}],
        [],
    ],
    "KernelMemory": [5 * MIB],
    "KernelMemoryTCP": [5 * MIB],
    "MemoryReservation": [32 * MIB, 1, -1],
    "MemorySwap": [64 * MIB, -1, -2],
    "MemorySwappiness": [0, 60, 100, 101, -1],
    "OomKillDisable": [True, False],
    "PidsLimit": [0, -1, 50],
    "Ulimits": [[{"Name": "nofile", "Soft": 1, "Hard": 2}], []],
    "CpuCount": [2],
    "CpuPercent": [5, 101],
    "IOMaximumIOps": [1],
    "IOMaximumBandwidth": [1],
}
TOGETHER: list[dict[str, Any]] = [
    {"Memory": 64 * MIB, "MemorySwap": 32 * MIB},
    {"Memory": 64 * MIB, "MemorySwap": 64 * MIB, "MemoryReservation": 65 * MIB},
    {"Memory": 64 * MIB, "OomKillDisable": True, "MemorySwappiness": 5},
    {"NanoCpus": 10**9, "CpuQuota": 5000},
    {"CpuPeriod": 20_000, "CpuQuota": 1000},
    {"CpuRealtimePeriod": 1000, "CpuRealtimeRuntime": 2000},
    {"Privileged": True, "IpcMode": "host", "PidMode": "host", "SecurityOpt": ["label=user:x"]},
    {"Privileged": True, "ReadonlyRootfs": True, "CapDrop": ["ALL"], "MaskedPaths": None},
    {"AutoRemove": True, "RestartPolicy": {"Name": "on-failure"}},
    {"NetworkMode": "host", "PortBindings": {"80/tcp": [{}]}, "PublishAllPorts": True},
    {"NetworkMode": "host", "UTSMode": "host", "Sysctls": {"net.ipv4.ip_forward": "1"}},
    {"Devices": [{"PathOnHost": "/dev/null"}], "DeviceCgroupRules": ["a *:* rwm"], "Privileged": True},
]
CHANCE = 8
"""How many requests of a seed are made of values that are good alone, several at once; always the same."""
BAD = 400


@pytest.fixture(autouse=True)
def _removed(both: Both) -> Iterator[None]:
    yield
    remove(both)


def remove(both: Both) -> None:
    both("DELETE", f"/containers/{NAME}?force=1&v=1")


def compared(both: Both, config: dict[str, Any], host: dict[str, Any]) -> list[str]:
    """Create a container on both sides, and remove it: the differences of answers and of records."""
    body = {
        "Image": "busybox",
        "Cmd": ["sleep", "1"],
        **config,
        "HostConfig": {"NetworkMode": "none", **host},
    }
    text = f"/{NAME} {json.dumps(config)} {json.dumps(host)}"
    found = differences(both, "POST", f"/containers/create?name={NAME}", body)
    ours, theirs = both("GET", f"/containers/{NAME}/json")
    if ours.status < BAD and theirs.status < BAD:
        request = Request("GET /containers/{name}/json", "1.45", text)
        found += of_values(request, shown(ours.body), shown(theirs.body))
        remove(both)
    return [f"{text}: {line}" for line in found]


def shown(body: dict[str, Any]) -> dict[str, Any]:
    """A record with its mounts in an order: dockerd's is chance."""
    return body | {"Mounts": sorted(body["Mounts"], key=lambda mount: str(mount["Destination"]))}


@pytest.mark.parametrize("field", CONFIG)
def test_config(both: Both, field: str) -> None:
    require([line for value in [None, *CONFIG[field]] for line in compared(both, {field: value}, {})])


@pytest.mark.parametrize("field", HOST)
def test_host_config(both: Both, field: str) -> None:
    require([line for value in [None, *HOST[field]] for line in compared(both, {}, {field: value})])


def test_together(both: Both) -> None:
    require([line for host in TOGETHER for line in compared(both, {}, host)])


@pytest.mark.parametrize("seed", range(5))
def test_many_fields_by_chance(both: Both, seed: int) -> None:
    dice = random.Random(seed)
    found = []
    for _ in range(CHANCE):
        config = {field: CONFIG[field][0] for field in dice.sample([*CONFIG], 6) if field != "MacAddress"}
        host = {field: HOST[field][0] for field in dice.sample([*HOST], 9) if field not in ALONE}
        found += compared(both, config, host)
    require(found)


ALONE = frozenset({"VolumesFrom", "Links", "AutoRemove", "IOMaximumIOps", "IOMaximumBandwidth"})
"""Fields that go with little else, or are refused whatever they say."""


def test_every_field_is_in_it() -> None:
    assert set(CONFIG) == set(ContainerConfig.__struct_encode_fields__)
    assert set(HOST) == set(HostConfig.__struct_encode_fields__)
    assert sum(len(values) for values in (*CONFIG.values(), *HOST.values())) >= 100
