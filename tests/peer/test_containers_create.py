"""Create requests, good, bad and odd: the same answer as a real dockerd's, or a difference with its reason."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.peer.comparison import JSON, OLD, remove_all, same
from tests.peer.peer import Both

pytestmark = pytest.mark.root

BASE: dict[str, Any] = {"Image": "busybox", "Cmd": ["true"]}
CONFIG: list[dict[str, Any]] = [
    {},
    {"Cmd": []},
    {"Cmd": None},
    {"Cmd": 5},
    {"Cmd": "x y"},
    {"Image": "nosuch"},
    {"Image": "nosuch:tag"},
    {"Image": "UPPER"},
    {"Image": "sha256:" + "a" * 64},
    {"Image": "bad image"},
    {"Image": 5},
    {"Env": "x"},
    {"Env": [5]},
    {"Env": ["=x"]},
    {"Env": [""]},
    {"Env": ["C", "A=b", "A=c"]},
    {"Tty": "yes"},
    {"Labels": ["a"]},
    {"Labels": {"a": 5}},
    {"Labels": {"": "x"}},
    {"ExposedPorts": {"80": {}}},
    {"ExposedPorts": {"80-82/tcp": {}}},
    {"ExposedPorts": {"x/tcp": {}}},
    {"ExposedPorts": {"99999/tcp": {}}},
    {"ExposedPorts": {"80/foo": {}}},
    {"WorkingDir": "rel"},
    {"WorkingDir": "/a/../b"},
    {"StopSignal": "NOPE"},
    {"StopSignal": "99"},
    {"StopTimeout": "x"},
    {"StopTimeout": -1},
    {"Hostname": "a" * 65},
    {"Hostname": "bad_host!"},
    {"User": "nosuch"},
    {"Healthcheck": {"Test": ["NONE"]}},
    {"Healthcheck": {"Test": ["CMD"], "Interval": 5}},
    {"Healthcheck": {"Test": ["CMD", "x"], "Timeout": 5}},
    {"Healthcheck": {"Test": ["CMD", "x"], "StartPeriod": 5}},
    {"Healthcheck": {"Test": ["CMD", "x"], "StartInterval": 5}},
    {"Healthcheck": {"Test": ["CMD", "x"], "Retries": -1}},
    {"MacAddress": "02:42:ac:11:00:09"},
    {"MacAddress": "xx"},
    {"Entrypoint": []},
    {"Entrypoint": [""]},
    {"Entrypoint": "x"},
    {"Shell": "sh"},
    {"OnBuild": ["RUN x"]},
    {"NetworkDisabled": True},
    {"UnknownField": 5},
    {"HostConfig": 5},
    {"HostConfig": None},
    {"NetworkingConfig": 5},
    {"NetworkingConfig": {"EndpointsConfig": {"bridge": 5}}},
    {"NetworkingConfig": {"EndpointsConfig": {"bridge": None}}},
    {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": ["x"]}}}},
    {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": "bad"}}}},
    {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"IPAMConfig": {"IPv4Address": "bad"}}}}},
    {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"IPAMConfig": {"IPv4Address": "172.17.0.77"}}}}},
]
HOST: list[dict[str, Any]] = [
    {"NetworkMode": "nosuch"},
    {"NetworkMode": "container:"},
    {"NetworkMode": "container:nosuch"},
    {"NetworkMode": "host"},
    {"NetworkMode": "none"},
    {"NetworkMode": "default"},
    {"NetworkMode": "host", "PortBindings": {"80/tcp": [{"HostPort": "9000"}]}},
    {"RestartPolicy": {"Name": "bad"}},
    {"RestartPolicy": {"Name": "no", "MaximumRetryCount": 3}},
    {"RestartPolicy": {"MaximumRetryCount": 3}},
    {"RestartPolicy": {"Name": "", "MaximumRetryCount": -3}},
    {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": -1}},
    {"RestartPolicy": {"Name": "always", "MaximumRetryCount": -3}},
    {"RestartPolicy": {"Name": "always"}, "AutoRemove": True},
    {"Memory": 1},
    {"Memory": -1},
    {"Memory": "5"},
    {"Memory": 10 << 20, "MemorySwap": 1 << 20},
    {"MemorySwap": 10 << 20},
    {"MemorySwappiness": 200},
    {"MemorySwappiness": -2},
    {"MemoryReservation": 1},
    {"Memory": 10 << 20, "MemoryReservation": 20 << 20},
    {"NanoCpus": -1},
    {"NanoCpus": 999_000_000_000},
    {"NanoCpus": 10**9, "CpuPeriod": 1000},
    {"NanoCpus": 10**9, "CpuQuota": 1000},
    {"CpuPeriod": 5},
    {"CpuQuota": 5},
    {"CpuShares": -1},
    {"CpusetCpus": "x"},
    {"CpusetCpus": "99"},
    {"CpusetMems": "9"},
    {"CpuPercent": 1},
    {"BlkioWeight": 70000},
    {"PidsLimit": -5},
    {"PidsLimit": "x"},
    {"OomScoreAdj": 2000},
    {"OomKillDisable": True},
    {"ShmSize": -1},
    {"ShmSize": 5},
    {"IpcMode": "bad"},
    {"IpcMode": "container:"},
    {"IpcMode": "container:nosuch"},
    {"PidMode": "bad"},
    {"PidMode": "container:"},
    {"PidMode": "container:nosuch"},
    {"UTSMode": "bad"},
    {"UsernsMode": "bad"},
    {"CgroupnsMode": "bad"},
    {"Isolation": "bad"},
    {"CapAdd": ["NOPE"]},
    {"CapDrop": ["NOPE"]},
    {"CapAdd": ["sys_admin"]},
    {"SecurityOpt": ["nope"]},
    {"SecurityOpt": ["foo=bar"]},
    {"SecurityOpt": ["no-new-privileges=maybe"]},
    {"SecurityOpt": ["label=disable"]},
    {"Privileged": "x"},
    {"Runtime": "nosuch"},
    {"CgroupParent": "a/../b"},
    {"ExtraHosts": ["bad"]},
    {"ExtraHosts": ["a:999.1.1.1"]},
    {"ExtraHosts": ["a:host-gateway", "b:::1"]},
    {"Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 5}]},
    {"Dns": ["bad"]},
    {"DnsSearch": ["bad domain"]},
    {"Links": ["nosuch"]},
    {"Binds": ["/a:b"]},
    {"Binds": ["/a:/b:bad"]},
    {"Binds": ["/a:/"]},
    {"Binds": ["/a:/b", "/c:/b"]},
    {"Binds": [""]},
    {"Binds": ["/tmp:/x:z"]},
    {"Mounts": [{"Type": "bad", "Target": "/x"}]},
    {"Mounts": [{"Type": "bind", "Target": "/x"}]},
    {"Mounts": [{"Type": "bind", "Source": "/nope", "Target": "/x"}]},
    {"Mounts": [{"Type": "bind", "Source": "/tmp"}]},
    {"Mounts": [{"Type": "bind", "Source": "rel", "Target": "/x"}]},
    {"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/x", "BindOptions": {"Propagation": "bad"}}]},
    {"Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/x"}, {"Type": "tmpfs", "Target": "/x"}]},
    {"Mounts": [{"Type": "tmpfs", "Source": "/a", "Target": "/x"}]},
    {"Mounts": [{"Type": "tmpfs", "Target": "/x", "VolumeOptions": {}}]},
    {"Mounts": [{"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"SizeBytes": -1}}]},
    {"Mounts": [{"Type": "image", "Source": "busybox", "Target": "/x"}]},
    {"Tmpfs": {"/x": "bad"}},
    {"Tmpfs": {"rel": ""}},
    {"Tmpfs": {"/x": "size=10k"}},
    {"PortBindings": {"80/tcp": None}},
    {"PortBindings": {"80/tcp": "x"}},
    {"PortBindings": {"80/tcp": [{"HostPort": "bad"}]}},
    {"PortBindings": {"80/tcp": [{"HostPort": "99999"}]}},
    {"PortBindings": {"80/tcp": [{"HostPort": "9001-9000"}]}},
    {"PortBindings": {"80/tcp": [{"HostIp": "bad", "HostPort": "1"}]}},
    {"PortBindings": {"99999/tcp": [{}]}},
    {"PortBindings": {"x": [{}]}},
    {"LogConfig": {"Type": "json-file", "Config": {"bad": "x"}}},
    {"LogConfig": {"Type": "json-file", "Config": {"max-size": "x"}}},
    {"LogConfig": {"Type": "none", "Config": {"x": "y"}}},
    {"LogConfig": {"Config": {"max-size": "5m", "max-file": "3"}}},
    {"LogConfig": {"Config": {"mode": "bad"}}},
    {"Devices": [{"PathOnHost": "/nope"}]},
    {"Sysctls": {"bad": "x"}},
    {"StorageOpt": {"x": "y"}},
    {"StorageOpt": {"size": "1G"}},
    {"StorageOpt": {"Size": "bad"}},
    {"GroupAdd": ["nosuch"]},
    {"ConsoleSize": [1, 2, 3]},
    {"ConsoleSize": [-1, 2]},
    {"ConsoleSize": "x"},
    {"Annotations": {"": "x"}},
    {"Annotations": {"a": "b"}},
    {"Init": "x"},
    {"IOMaximumIOps": 5},
    {"IOMaximumBandwidth": 5},
    {"ContainerIDFile": "x"},
    {"KernelMemory": 5},
]


def text(case: dict[str, Any]) -> str:
    """What a case is known by."""
    return json.dumps(case)


WHOLE = [
    "{}",
    "null",
    "[]",
    "5",
    '{"HostConfig":{}}',
    '{"Image":"busybox"}x',
    '{"Image":"busybox"}{}',
    '{"Image":',
    '{"Image":"busybox",}',
    "{'a':1}",
    " ",
    '{"image":"busybox","cmd":["x"]}',
    '{"Image":"busybox","Image":"nosuch"}',
    '{"Image":"busybox","Env":[null]}',
    '{"Image":"busybox","HostConfig":{"Memory":7.5}}',
]
# dockerd panics at an endpoint that is null before 1.44.
SOME = [
    case
    for case in [*CONFIG[::6], *CONFIG[-8:], *HOST[::9]]
    if "null" not in text(case) or "Endp" not in text(case)
]
NAMES = ["", "/peer-a", "peer-b", "-bad", "x", "a+b", "%2F", "//x", "peer-b", "a" * 300]
PLATFORMS = ["linux/amd64", "linux/arm64", "bad/a/b/c"]


@pytest.fixture(scope="module", autouse=True)
def _cleared(peer_wherryd: Any, peer: Any) -> Iterator[None]:
    yield
    remove_all(Both(peer_wherryd, peer))


@pytest.mark.parametrize("case", CONFIG, ids=text)
def test_config(both: Both, case: dict[str, Any]) -> None:
    same(both, "POST", "/containers/create", BASE | case)


@pytest.mark.parametrize("case", HOST, ids=text)
def test_host_config(both: Both, case: dict[str, Any]) -> None:
    same(both, "POST", "/containers/create", BASE | {"HostConfig": case})


@pytest.mark.parametrize("version", OLD)
@pytest.mark.parametrize("case", SOME, ids=text)
def test_older_versions(both: Both, case: dict[str, Any], version: str) -> None:
    body = BASE | (case if case in CONFIG else {"HostConfig": case})
    same(both, "POST", "/containers/create", body, version=version)


@pytest.mark.parametrize("body", WHOLE)
def test_bodies(both: Both, body: str) -> None:
    same(both, "POST", "/containers/create", body.encode(), headers=JSON)


@pytest.mark.parametrize("kind", ["text/plain", "application/json; charset=utf-8", "application/JSON", ""])
def test_content_types(both: Both, kind: str) -> None:
    body = json.dumps(BASE).encode()
    same(both, "POST", "/containers/create", body, headers={"Content-Type": kind})


@pytest.mark.parametrize("name", NAMES)
def test_names(both: Both, name: str) -> None:
    same(both, "POST", f"/containers/create?name={name}", BASE)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("version", ["1.40", "1.45"])
def test_platforms(both: Both, platform: str, version: str) -> None:
    same(both, "POST", f"/containers/create?platform={platform}", BASE, version=version)
