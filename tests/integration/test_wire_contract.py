"""Every endpoint that is served, asked at the newest version: its answers are of the contract, and so are the rest.

That the answers are right is held by the fixture `contract` here as in all of the suite; what is held here besides is
that no endpoint is left out, and no exception kept that nothing needs.
"""

import http.client
import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api import endpoints
from tests.daemon import Wherryd
from tests.integration.one_image_registry import one_image_registry
from tests.unix_http import UnixConnection
from tests.wire import answers
from tests.wire.answers import FIRST_ERROR, Answers, contract
from tests.wire.exceptions import EXCEPTIONS
from tests.wire.swagger import nameless

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not answers.CONTRACT.exists(), reason=answers.MISSING),
]

NAME = "contracted"
BODY: dict[str, Any] = {
    "Image": "busybox",
    "Cmd": ["sh", "-c", "echo x > /file; sleep 1000"],
    "Labels": {"a": "b"},
    "ExposedPorts": {"80/tcp": {}, "81/udp": {}},
    "HostConfig": {
        "Binds": ["/tmp:/host:ro", "contracted:/data"],
        "PortBindings": {"80/tcp": [{"HostPort": "0"}]},
        "Tmpfs": {"/scratch": ""},
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
        "Memory": 64 << 20,
        "NanoCpus": 500_000_000,
        "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
        "Annotations": {"a": "b"},
    },
}


@pytest.fixture
def box(start_daemon: Callable[..., Wherryd]) -> Iterator[Wherryd]:
    """A daemon of its own: what another test was answered is not noted again. In it runs a container with most of what
    a container can have.
    """
    daemon = start_daemon()
    made = daemon.call("POST", f"/containers/create?name={NAME}", BODY)
    assert made.status == 201, made.body
    daemon.call("POST", f"/containers/{NAME}/start")
    yield daemon
    daemon.call("DELETE", f"/containers/{NAME}?force=1&v=1")
    daemon.call("DELETE", "/volumes/contracted")


def test_every_endpoint(box: Wherryd, watched: list[Answers], busybox_tar: Path) -> None:
    began = time.time()
    _containers(box)
    _images(box, busybox_tar)
    _builds(box)
    _volumes(box)
    _networks(box)
    _engine(box, began)
    _elsewhere(box)
    seen = watched[-1]
    assert not seen.problems()
    left_out = [operation for operation in _served() if operation not in seen.seen]
    assert left_out == []
    assert [f"{each.operation} {each.where} {each.what}" for each in EXCEPTIONS if each not in seen.met] == []


def test_what_older_clients_ask_is_asked_again(box: Wherryd, watched: list[Answers]) -> None:
    box.docker("ps", "-a")
    assert box.get(f"/v1.24/containers/{NAME}/json").json["NetworkSettings"]["Bridge"] == ""
    seen = watched[-1]
    assert not seen.problems()
    assert seen.seen.keys() >= {("GET", "/containers/json"), ("GET", "/containers/{}/json")}


def _containers(wherryd: Wherryd) -> None:
    for target in (
        "/containers/json?all=1&size=1",
        f"/containers/{NAME}/json?size=1",
        f"/containers/{NAME}/top",
        f"/containers/{NAME}/changes",
        f"/containers/{NAME}/stats?stream=0&one-shot=1",
        "/containers/none/json",
        "/containers/json?filters=x",
    ):
        wherryd.get(target)
    _lines(wherryd, f"/containers/{NAME}/stats", 1)
    made = wherryd.call("POST", f"/containers/{NAME}/exec", {"Cmd": ["true"], "User": "0"}).json
    wherryd.get(f"/exec/{made['Id']}/json")
    wherryd.call("POST", f"/exec/{made['Id']}/start", {"Detach": True})
    wherryd.get(f"/exec/{made['Id']}/json")
    wherryd.call("POST", f"/containers/{NAME}/update", {"Memory": 32 << 20, "MemorySwap": 64 << 20})
    bare = wherryd.call("POST", "/containers/create", {"Image": "busybox", "Entrypoint": ["true"]}).json["Id"]
    for target in (
        f"/containers/{bare}/json",
        f"/containers/{bare}/changes",
        f"/containers/{bare}/stats?stream=0",
        "/containers/json?all=1",
        "/networks/bridge",
        "/networks/host",
    ):
        wherryd.get(target)
    wherryd.call("POST", f"/containers/{bare}/start")
    wherryd.call("POST", f"/containers/{bare}/wait")
    for host in ({"Privileged": True}, {"DeviceRequests": [{"Count": 1}]}):
        made = wherryd.call("POST", "/containers/create", {"Image": "busybox", "HostConfig": host}).json
        wherryd.get(f"/containers/{made['Id']}/json")
    for _ in range(2):
        wherryd.call("POST", "/containers/prune")
    for target in ("/networks/prune", "/build/prune"):
        wherryd.call("POST", target)


def _images(wherryd: Wherryd, busybox_tar: Path) -> None:
    path = "/images/create?fromSrc=-&repo=contracted&tag=1&changes=LABEL%20a=b&changes=ENV%20A=b"
    wherryd.call("POST", path, busybox_tar.read_bytes())
    wherryd.call("POST", f"/commit?container={NAME}&repo=contracted&tag=2")
    saved = wherryd.get("/images/get?names=contracted:1&names=contracted:2").body
    wherryd.call("DELETE", "/images/contracted:1")
    wherryd.call("POST", "/images/load?quiet=0", saved)
    for target in (
        "/images/json?all=1&digests=1&manifests=1&identity=1&shared-size=1",
        "/images/contracted:2/json?manifests=1",
        "/images/contracted:2/json",
        "/images/contracted:2/history",
    ):
        wherryd.get(target)
    wherryd.call("DELETE", "/images/contracted:2")
    wherryd.call("POST", "/images/load", saved)
    wherryd.get("/images/contracted:2/history")  # now its parent is not known
    wherryd.call("POST", "/images/load", b"no archive")
    wherryd.call("DELETE", "/images/contracted:1")
    wherryd.call("DELETE", "/images/contracted:2")
    wherryd.call("POST", "/images/prune")
    with one_image_registry() as registry:
        answer = wherryd.get(f"/distribution/{registry}/one:1/json")
        assert answer.json["Platforms"] == [{"architecture": "amd64", "os": "linux"}]
        assert wherryd.get(f"/distribution/{registry}/one:oci/json").json["Platforms"] is None
        wherryd.get(f"/distribution/{registry}/none/json")
        assert wherryd.get(f"/images/search?term={registry}/one").json[0]["name"] == "one"
        wherryd.call("POST", f"/images/create?fromImage={registry}/one&tag=1")
        wherryd.call("POST", f"/images/create?fromImage={registry}/none&tag=1")
        assert b'"aux"' in wherryd.call("POST", f"/images/{registry}/one/push?tag=1").body
        wherryd.call("POST", f"/images/{registry}/one/push?tag=2")
        wherryd.call("POST", f"/images/busybox/tag?repo={registry}/one&tag=3")
        assert b'"Pushing"' in wherryd.call("POST", f"/images/{registry}/one/push?tag=3").body
        wherryd.call("DELETE", f"/images/{registry}/one:3")
        wherryd.call("DELETE", f"/images/{registry}/one:1")


def _builds(wherryd: Wherryd) -> None:
    for step in ("RUN true", "RUN exit 3"):
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as archive:
            entry, text = tarfile.TarInfo("Dockerfile"), f"FROM busybox\n{step}\n".encode()
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
        told = wherryd.call("POST", "/build?t=contracted:3", context.getvalue()).body
        assert (b'"errorDetail"' in told) == (step == "RUN exit 3"), told
    wherryd.get("/system/df?verbose=1")
    wherryd.call("DELETE", "/images/contracted:3")


def _volumes(wherryd: Wherryd) -> None:
    wherryd.call("POST", "/volumes/create", {"Name": "kept", "Labels": {"a": "b"}})
    wherryd.call("POST", "/volumes/create", {"Name": "plain"})
    wherryd.call("POST", "/volumes/create", {})
    for target in ("/volumes", "/volumes/kept", "/volumes/contracted", "/system/df", "/system/df?verbose=1"):
        wherryd.get(target)
    wherryd.call("PUT", "/volumes/kept?version=1", {})
    wherryd.call("DELETE", "/volumes/kept")
    wherryd.call("DELETE", "/volumes/plain")
    wherryd.call("POST", "/volumes/prune")


def _networks(wherryd: Wherryd) -> None:
    pools = [
        {"Subnet": "10.210.0.0/16", "IPRange": "10.210.9.0/24", "AuxiliaryAddresses": {"a": "10.210.9.1"}},
        {"Subnet": "fd00:210::/64"},
    ]
    for body in (
        {"Name": "full", "EnableIPv6": True, "IPAM": {"Config": pools}, "Labels": {"a": "b"}},
        {"Name": "six", "EnableIPv4": False, "EnableIPv6": True},
        {"Name": "config", "ConfigOnly": True},
        {"Name": "made", "ConfigFrom": {"Network": "config"}, "Internal": True, "Attachable": True},
        {"Name": "full"},
    ):
        wherryd.call("POST", "/networks/create", body)
    wherryd.call("POST", "/networks/full/connect", {"Container": NAME, "EndpointConfig": {"Aliases": ["x"]}})
    for target in (
        "/networks",
        "/networks/full?verbose=1",
        "/networks/six",
        "/networks/config",
        "/networks/made",
    ):
        wherryd.get(target)
    wherryd.get(f"/containers/{NAME}/json")
    wherryd.call("POST", "/networks/full/disconnect", {"Container": NAME})
    for name in ("full", "made", "config"):
        wherryd.call("DELETE", f"/networks/{name}")
    assert wherryd.call("POST", "/networks/prune").json["NetworksDeleted"] == ["six"]


def _engine(wherryd: Wherryd, began: float) -> None:
    for target in ("/info", "/version", "/networks"):
        wherryd.get(target)
    until = time.time()
    for form in ("application/jsonl", "application/x-ndjson", "application/json-seq"):
        wherryd.get(f"/events?since={began:.6f}&until={until:.6f}", headers={"Accept": form})
    wherryd.call("POST", "/auth", {"username": "a", "password": "b", "serveraddress": "localhost:1"})


def _elsewhere(wherryd: Wherryd) -> None:
    """What answers as an engine outside of a swarm, or without plugins."""
    for route in endpoints.all_routes():
        if route.built and route.summary:
            wherryd.call(route.method, route.path.replace("{name}", "x"), {})


def _served() -> list[tuple[str, str]]:
    """The operations that are served and answer JSON, by the contract."""
    found = []
    for route in endpoints.all_routes():
        operation = (route.method, nameless(route.path))
        responses = contract().operations.get(operation, {}).get("responses", {})
        schemas = [answer.get("schema") for status, answer in responses.items() if status < FIRST_ERROR]
        if route.built and any(schema and schema.get("type") != "string" for schema in schemas):
            found.append(operation)
    return found


def _lines(wherryd: Wherryd, target: str, count: int) -> None:
    """Read some messages of a stream, and leave it."""
    connection: http.client.HTTPConnection = UnixConnection(wherryd.socket, timeout=10)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        assert all(json.loads(answer.readline()) for _ in range(count))
    finally:
        connection.close()
