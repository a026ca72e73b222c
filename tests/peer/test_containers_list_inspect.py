"""What inspect and the list tell of containers of many kinds: whole bodies, as of a real dockerd."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.peer.busy import asked
from tests.peer.comparison import OLD, remove_all, same
from tests.peer.peer import Both
from tests.unix_http import call

pytestmark = pytest.mark.root

SLEEP = ["sleep", "1000"]
MANY: dict[str, Any] = {
    "Env": ["A=b", "C", "A=c"],
    "Labels": {"x": "y", "z": ""},
    "WorkingDir": "/tmp",
    "User": "1000:5",
    "Hostname": "hh",
    "Domainname": "dd",
    "Entrypoint": ["sleep"],
    "Cmd": ["1000"],
    "ExposedPorts": {"81/udp": {}, "90/tcp": {}, "91/udp": {}},
    "StopSignal": "SIGINT",
    "StopTimeout": 3,
    "OpenStdin": True,
    "HostConfig": {
        "ExtraHosts": ["q:1.2.3.4"],
        "Dns": ["9.9.9.9"],
        "DnsSearch": ["ex.com"],
        "DnsOptions": ["ndots:2"],
        "PortBindings": {"81/udp": [{"HostIp": "127.0.0.1", "HostPort": "18093"}]},
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
        "Memory": 64 << 20,
        "MemoryReservation": 32 << 20,
        "MemorySwappiness": -1,
        "NanoCpus": 500_000_000,
        "CpusetCpus": "0",
        "CpuShares": 100,
        "PidsLimit": 50,
        "ShmSize": 1 << 20,
        "OomScoreAdj": 100,
        "BlkioWeightDevice": [],
        "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
        "CapAdd": ["SYS_ADMIN"],
        "CapDrop": ["net_raw"],
        "SecurityOpt": ["no-new-privileges"],
        "Init": True,
        "ReadonlyRootfs": True,
        "Tmpfs": {"/t": "size=1m"},
        "Binds": ["SOURCE:/b:ro"],
        "Mounts": [{"Type": "tmpfs", "Target": "/d", "TmpfsOptions": {"SizeBytes": 102400}}],
        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n2", "CgroupPermissions": "r"}],
        "GroupAdd": ["7"],
        "Sysctls": {"net.ipv4.ip_forward": "1"},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "5m"}},
        "Annotations": {"q": "w"},
    },
}
RUNNING: dict[str, dict[str, Any]] = {
    "plain": {"Cmd": SLEEP},
    "terminal": {"Tty": True, "OpenStdin": True, "AttachStdin": True},
    "many": MANY,
    "on-host": {"Cmd": SLEEP, "HostConfig": {"NetworkMode": "host"}},
    "without": {"Cmd": SLEEP, "HostConfig": {"NetworkMode": "none"}},
    "shares": {"Cmd": SLEEP, "HostConfig": {"NetworkMode": "container:plain", "PidMode": "container:plain"}},
    "privileged": {
        "Cmd": SLEEP,
        "HostConfig": {"Privileged": True, "PidMode": "host", "IpcMode": "host", "UTSMode": "host"},
    },
    "mac": {
        "Cmd": SLEEP,
        "NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": "02:42:ac:11:00:99"}}},
    },
    "unmasked": {"Cmd": SLEEP, "HostConfig": {"MaskedPaths": [], "ReadonlyPaths": ["/proc/bus"]}},
    "over": {"Cmd": ["sh", "-c", "exit 3"]},
    "missing": {"Cmd": ["nosuchcmd"]},
    "directory": {"Cmd": ["/etc"]},
    "paused": {"Cmd": SLEEP},
}
CREATED: dict[str, dict[str, Any]] = {
    "new": {"Cmd": ["a b", "c"], "ExposedPorts": {"99/tcp": {}}},
    "new-alone": {"HostConfig": {"NetworkMode": "none"}},
}
NAMES = [*RUNNING, *CREATED]


@pytest.fixture(scope="module", autouse=True)
def _containers(peer_wherryd: Any, peer: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    source = tmp_path_factory.mktemp("source")
    for daemon in (peer_wherryd, peer):
        for name, config in {**RUNNING, **CREATED}.items():
            body = json.dumps({"Image": "busybox", **config}).replace("SOURCE", str(source)).encode()
            headers = {"Content-Type": "application/json"}
            path = f"/v1.45/containers/create?name={name}"
            assert call(daemon.socket, "POST", path, body, headers).status == 201
            if name in RUNNING:
                call(daemon.socket, "POST", f"/v1.45/containers/{name}/start")
        call(daemon.socket, "POST", "/v1.45/containers/over/wait")
        asked(daemon.socket, "POST", "/v1.45/containers/paused/pause")
    yield
    remove_all(Both(peer_wherryd, peer))


@pytest.mark.parametrize("name", [*NAMES, "nope", "%20"])
def test_inspect(both: Both, name: str) -> None:
    same(both, "GET", f"/containers/{name}/json")


@pytest.mark.parametrize("name", ["plain", "many", "mac", "shares", "missing", "new", "nope"])
@pytest.mark.parametrize("version", OLD)
def test_inspect_in_older_versions(both: Both, name: str, version: str) -> None:
    same(both, "GET", f"/containers/{name}/json", version=version)


@pytest.mark.parametrize("size", ["1", "true", "0", "x"])
def test_inspect_with_size(both: Both, size: str) -> None:
    same(both, "GET", f"/containers/plain/json?size={size}")


LISTS: list[dict[str, list[str]]] = [
    {},
    {"status": ["running"]},
    {"status": ["paused", "created"]},
    {"exited": ["3"]},
    {"exited": ["x"]},
    {"exited": ["0", "127"]},
    {"name": ["new"]},
    {"name": ["^/new$"]},
    {"name": ["["]},
    {"label": ["x"]},
    {"label": ["x=y"]},
    {"label": ["x=n"]},
    {"ancestor": ["busybox"]},
    {"ancestor": ["nosuch"]},
    {"before": ["many"]},
    {"since": ["many"]},
    {"since": ["nope"]},
    {"network": ["host"]},
    {"network": ["nope"]},
    {"publish": ["81/udp"]},
    {"publish": ["18093/udp"]},
    {"publish": ["18000-18100/udp"], "expose": ["99"]},
    {"expose": ["99"]},
    {"publish": ["x"]},
    {"expose": ["90"]},
    {"expose": ["90-95/tcp"]},
    {"volume": ["/b"]},
    {"volume": ["nope"]},
    {"health": ["none"]},
    {"health": ["bad"]},
    {"is-task": ["false"]},
    {"is-task": ["x"]},
    {"isolation": ["default"]},
    {"nope": ["x"]},
    {"id": ["zz"]},
]


@pytest.mark.parametrize("filters", LISTS, ids=json.dumps)
def test_filters(both: Both, filters: dict[str, list[str]]) -> None:
    path = f"/containers/json?all=1&filters={quote(json.dumps(filters))}"
    same(both, "GET", path)


@pytest.mark.parametrize("query", ["", "?all=1&limit=2", "?limit=3", "?all=1&size=1", "?all=x", "?limit=-1"])
@pytest.mark.parametrize("version", ["1.45", *OLD])
def test_lists(both: Both, query: str, version: str) -> None:
    path = f"/containers/json{query}"
    same(both, "GET", path, version=version)


def test_filters_in_the_old_form(both: Both) -> None:
    path = f"/containers/json?all=1&filters={quote(json.dumps({'status': {'running': True}}))}"
    same(both, "GET", path)
