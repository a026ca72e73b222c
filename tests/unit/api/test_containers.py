import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

import errdefs
from api.schema import create
from api.schema.status import human
from api.schema.times import go_time, human_duration
from api.versions import Version
from engine.containers.config import EndpointConfig, HostConfig
from engine.containers.container import State
from engine.containers.links import Link
from engine.containers.state import Status
from tests.unit.api.conftest import Served
from tests.unit.api.samples import CREATED, ID, IMAGE_ID, NETWORK_ID, SECOND, container, running

OTHER = "0" * 64
HOUR = 3600 * SECOND
NEWEST = Version("1.55")


def parsed(body: dict[str, Any], version: str = "1.55") -> create.Request:
    return create.parse(json.dumps(body).encode(), Version(version))


async def test_create_answers_201_with_id_and_warnings(served: Served) -> None:
    answer = await served.ask(
        "POST", "/containers/create?name=web&platform=linux/amd64", json={"Image": "bb:1", "Cmd": ["true"]}
    )
    assert answer == (201, {"Id": ID, "Warnings": []})
    name, config, host, _, platform = served.engine.containers.created[0]
    assert (name, config.cmd, host.network_mode, platform) == ("web", ["true"], "bridge", "linux/amd64")


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (
            b"{}",
            {"Content-Type": "text/plain"},
            "unsupported Content-Type header (text/plain): must be 'application/json'",
        ),
        (b"{}", {"Content-Type": "x"}, "malformed Content-Type header (x): mime: expected slash"),
        (b"", {}, "invalid JSON: got EOF while reading request body"),
        (
            b"null",
            {"Content-Type": "application/json"},
            "config cannot be empty in order to create a container",
        ),
        (b'{"HostConfig":{}}', {"Content-Type": "application/json; charset=utf-8"}, "config cannot be empty"),
        (b'{"Image":5}', {"Content-Type": "application/json"}, "invalid JSON: json: cannot unmarshal number"),
    ],
)
async def test_bad_bodies(served: Served, body: bytes, headers: dict[str, str], message: str) -> None:
    options: dict[str, Any] = {"data": body, "headers": headers}
    if not headers:
        options["skip_auto_headers"] = ["Content-Type"]
    status, answer = await served.ask("POST", "/containers/create", **options)
    assert status == 400
    assert answer["message"].startswith(message)
    assert served.engine.containers.created == []


async def test_a_huge_body_is_refused(served: Served) -> None:
    status, answer = await served.ask(
        "POST",
        "/containers/create",
        data=io.BytesIO(b" " * 9_000_000),
        headers={"Content-Type": "application/json"},
    )
    assert status == 400
    assert "larger than" in answer["message"]


def test_a_command_may_be_one_word() -> None:
    assert parsed({"cmd": "ls -l", "Entrypoint": "/x"}).config.cmd == ["ls -l"]


def test_every_field_may_be_null_or_empty() -> None:
    names = HostConfig.__struct_encode_fields__
    request = parsed({"Image": "x", "HostConfig": dict.fromkeys(names)})
    assert request.host == HostConfig(network_mode="bridge")


def test_what_older_versions_mean() -> None:
    body = {
        "Image": "x",
        "Healthcheck": {"StartInterval": 5},
        "HostConfig": {"Annotations": {"a": "b"}, "ConsoleSize": [5, 6], "PidsLimit": -1},
    }
    old, new = parsed(body, "1.39"), parsed(body)
    assert (old.host.ipc_mode, new.host.ipc_mode) == ("shareable", "")
    assert (old.host.annotations, new.host.annotations) == (None, {"a": "b"})
    assert (old.host.console_size, new.host.console_size) == (None, [5, 6])
    assert old.config.healthcheck is not None
    assert new.config.healthcheck is not None
    assert (old.config.healthcheck.start_interval, new.config.healthcheck.start_interval) == (0, 5)
    assert old.host.pids_limit is new.host.pids_limit is None


@pytest.mark.parametrize(
    ("body", "version", "message"),
    [
        (
            {"HostConfig": {"Mounts": [{"Type": "bind", "VolumeOptions": {}}]}},
            "1.42",
            'VolumeOptions must not be specified on mount type "bind"',
        ),
        (
            {"HostConfig": {"Mounts": [{"Type": "bind", "BindOptions": {"ReadOnlyForceRecursive": True}}]}},
            "1.43",
            "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer",
        ),
        (
            {"HostConfig": {"Mounts": [{"Type": "volume", "VolumeOptions": {"Subpath": "x"}}]}},
            "1.44",
            "VolumeOptions.Subpath needs API v1.45 or newer",
        ),
        (
            {"HostConfig": {"Mounts": [{"Type": "image"}]}},
            "1.47",
            'Mount type "Image" needs API v1.48 or newer',
        ),
        (
            {"NetworkingConfig": {"EndpointsConfig": {"a": {}, "b": {}}}},
            "1.43",
            "Container cannot be created with multiple network endpoints: a, b",
        ),
        ({"MacAddress": "02:42:ac:11:00:09"}, "1.52", "container-wide MAC address no longer supported"),
        (
            {"MacAddress": "02:42:ac:11:00:09", "HostConfig": {"NetworkMode": "host"}},
            "1.43",
            "conflicting options: mac-address and the network mode",
        ),
        ({"HostConfig": {"BlkioWeight": -1}}, "1.55", "CreateRequest.HostConfig.BlkioWeight of type uint16"),
    ],
)
def test_what_a_version_refuses(body: dict[str, Any], version: str, message: str) -> None:
    with pytest.raises(errdefs.InvalidArgument) as raised:
        parsed({"Image": "x", **body}, version)
    assert message in raised.value.message


def test_mismatched_options_are_dropped_before_142() -> None:
    body = {"Image": "x", "HostConfig": {"Mounts": [{"Type": "bind", "ReadOnly": True, "VolumeOptions": {}}]}}
    (mount,) = parsed(body, "1.41").host.mounts or []
    assert mount.volume_options is None


def test_read_only_binds_leave_what_is_below_them_before_144() -> None:
    mount = {"Type": "bind", "ReadOnly": True}
    body = {"Image": "x", "HostConfig": {"Mounts": [mount, {**mount, "BindOptions": {}}]}}
    old, new = parsed(body, "1.43"), parsed(body, "1.44")
    assert (old.recursive_read_only, new.recursive_read_only) == (False, True)
    told = [each.bind_options and each.bind_options.read_only_non_recursive for each in old.host.mounts or ()]
    assert told == [None, True]  # dockerd shows it where there were options


@pytest.mark.parametrize(
    ("version", "cgroups", "asked", "mode"),
    [
        ("1.40", 1, "", "host"),
        ("1.40", 1, "private", "private"),
        ("1.40", 2, "", ""),
        ("1.41", 1, "", ""),
    ],
)
def test_the_cgroup_namespace_before_141(version: str, cgroups: int, asked: str, mode: str) -> None:
    body = json.dumps({"Image": "x", "HostConfig": {"CgroupnsMode": asked}}).encode()
    assert create.parse(body, Version(version), cgroup_version=cgroups).host.cgroupns_mode == mode


def test_the_container_wide_mac_address_moves_to_the_endpoint() -> None:
    body = {"Image": "x", "MacAddress": "02:42:ac:11:00:09"}
    old, new = parsed(body, "1.43"), parsed(body, "1.51")
    for request in (old, new):
        endpoints = request.networking.endpoints_config or {}
        assert endpoints["bridge"] == EndpointConfig(mac_address="02:42:ac:11:00:09")
        assert request.config.mac_address == ""
    assert old.warnings == []
    assert len(new.warnings) == 1


def test_empty_port_bindings_mean_any_port() -> None:
    body = {"Image": "x", "HostConfig": {"PortBindings": {"80/tcp": [], "81/tcp": None}}}
    request = parsed(body)
    assert all(len(places or ()) == 1 for places in (request.host.port_bindings or {}).values())
    assert "80/tcp, 81/tcp" in request.warnings[0]
    assert parsed(body, "1.51").warnings == []


async def test_inspect_by_version(served: Served) -> None:
    _, new = await served.ask("GET", "/v1.52/containers/box/json")
    _, old = await served.ask("GET", "/v1.44/containers/box/json?size=1")
    assert new["Id"] == ID
    assert new["Name"] == "/box"
    assert new["State"]["StartedAt"] == "2023-11-14T22:13:21Z"
    assert new["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert new["NetworkSettings"]["Ports"] == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
        "9000/tcp": None,
    }
    assert "IPAddress" not in new["NetworkSettings"]
    assert "SizeRw" not in new
    assert new["Storage"] == {"RootFS": {"Snapshot": {"Name": "overlayfs"}}}
    assert old["NetworkSettings"]["IPAddress"] == "172.17.0.2"
    assert old["NetworkSettings"]["Bridge"] == ""
    assert old["GraphDriver"] == {"Name": "overlayfs", "Data": None}
    assert (old["SizeRw"], old["SizeRootFs"]) == (0, 2024544)
    assert new["HostsPath"] == f"/data/containers/{ID}/hosts"
    assert new["HostConfig"]["ConsoleSize"] == [0, 0]
    assert new["HostConfig"]["LogConfig"] == {"Type": "", "Config": {}}
    assert new["ExecIDs"] is None


async def test_inspect_tells_what_is_true_now(served: Served) -> None:
    """Whatever was asked before: an answer is remembered for the same record, execs and version alone."""
    boxes, execs = served.engine.containers.records, served.engine.execs.records
    boxes[ID] = container(links=[Link(id=OTHER, name="was", alias="db")])
    boxes[OTHER] = container(id=OTHER, name="other")
    for name in ("other", "renamed"):
        boxes[OTHER] = replace(boxes[OTHER], name=name)
        _, shown = await served.ask("GET", "/containers/box/json")
        assert shown["HostConfig"]["Links"] == [f"/{name}:/box/db"]
    boxes[ID] = running()
    for _ in range(2):
        for version, driver in (("1.52", "Storage"), ("1.51", "GraphDriver")):
            _, shown = await served.ask("GET", f"/v{version}/containers/{ID}/json")
            assert (driver in shown, shown["ExecIDs"]) == (True, None)
    execs["e"] = SimpleNamespace(id="e", container_id=ID)
    _, shown = await served.ask("GET", f"/containers/{ID}/json")
    assert (shown["ExecIDs"], shown["RestartCount"]) == (["e"], 0)
    execs.clear()
    boxes[ID] = replace(boxes[ID], restart_count=1)
    _, shown = await served.ask("GET", f"/containers/{ID}/json")
    assert (shown["ExecIDs"], shown["RestartCount"]) == (None, 1)


async def test_a_container_that_never_ran(served: Served) -> None:
    served.engine.containers.records[ID] = container()
    _, shown = await served.ask("GET", "/containers/box/json")
    assert shown["HostsPath"] == ""
    assert shown["NetworkSettings"]["Ports"] == {}
    assert shown["NetworkSettings"]["Networks"]["bridge"]["NetworkID"] == ""
    assert shown["Config"]["Labels"] == {}
    assert "ExposedPorts" not in shown["Config"]
    assert "Healthcheck" not in shown["Config"]
    assert shown["Config"]["Env"] is None
    assert "Tmpfs" not in shown["HostConfig"]
    assert shown["HostConfig"]["Binds"] is None


async def test_a_container_that_is_over_keeps_the_network_id(served: Served) -> None:
    state = State(status=Status.EXITED, started_at=CREATED, finished_at=CREATED + SECOND)
    served.engine.containers.records[ID] = container(state=state, network_ids={"bridge": NETWORK_ID})
    _, shown = await served.ask("GET", "/containers/box/json")
    assert shown["NetworkSettings"]["Networks"]["bridge"]["NetworkID"] == NETWORK_ID


async def test_list(served: Served) -> None:
    _, (shown,) = await served.ask("GET", "/v1.45/containers/json?size=1")
    assert shown["Names"] == ["/box"]
    assert shown["Image"] == "bb:1"
    assert shown["ImageID"] == IMAGE_ID
    assert shown["Command"] == "sh -c 'echo hi'"
    assert shown["Created"] == CREATED // SECOND
    assert shown["Ports"] == [
        {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"PrivatePort": 9000, "Type": "tcp"},
    ]
    assert shown["Status"].startswith("Up ")
    assert shown["HostConfig"] == {"NetworkMode": "bridge"}
    assert shown["Mounts"][0] == {
        "Type": "bind",
        "Source": "/tmp",
        "Destination": "/mnt",
        "Mode": "ro",
        "RW": False,
        "Propagation": "",
    }
    assert "SizeRw" not in shown
    assert shown["SizeRootFs"] == 2024544
    assert "Health" not in shown
    _, (newest,) = await served.ask("GET", "/containers/json")
    assert newest["Health"] == {"Status": "none", "FailingStreak": 0}


async def test_an_image_name_that_means_another_image_by_now(served: Served) -> None:
    served.engine.images.records = []
    _, (shown,) = await served.ask("GET", "/containers/json")
    assert shown["Image"] == IMAGE_ID


async def test_annotations_are_listed_since_146(served: Served) -> None:
    host = HostConfig(network_mode="bridge", annotations={"a": "b"})
    served.engine.containers.records[ID] = running(host_config=host)
    for version, there in (("1.45", False), ("1.46", True)):
        _, (shown,) = await served.ask("GET", f"/v{version}/containers/json")
        assert ("Annotations" in shown["HostConfig"]) is there


@pytest.mark.parametrize(
    ("method", "path", "status", "call"),
    [
        ("POST", "/containers/box/start", 204, ("start", ID)),
        ("POST", "/v1.41/containers/box/stop?t=5&signal=INT", 204, ("stop", ID, "", 5)),
        ("POST", "/containers/box/stop?t=-1&signal=INT", 204, ("stop", ID, "INT", -1)),
        ("POST", "/containers/box/restart", 204, ("restart", ID, "", None)),
        ("POST", "/containers/box/kill?signal=HUP", 204, ("kill", ID, "HUP")),
        ("POST", "/containers/box/pause", 204, ("pause", ID)),
        ("POST", "/containers/box/unpause", 204, ("unpause", ID)),
        ("POST", "/containers/box/rename?name=b", 204, ("rename", ID, "b")),
        ("POST", "/containers/box/resize?h=3&w=4", 200, ("resize", ID, 3, 4)),
        ("DELETE", "/containers/box?force=1&v=true", 204, ("remove", ID, True, True, False)),
    ],
)
async def test_verbs(served: Served, method: str, path: str, status: int, call: tuple[Any, ...]) -> None:
    assert await served.ask(method, path) == (status, "")
    assert served.engine.containers.calls == [call]


async def test_top(served: Served) -> None:
    answer = await served.ask("GET", "/containers/box/top?ps_args=aux")
    assert answer == (200, {"Titles": ["PID", "CMD"], "Processes": [["4711", "sh"]]})


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/containers/json?limit=abc", 400, 'invalid value for "limit"'),
        ("GET", "/containers/json?filters=abc", 400, "invalid filter"),
        ("GET", '/containers/json?filters={"foo":["x"]}', 400, "invalid filter 'foo'"),
        ("POST", "/containers/box/stop?t=x", 400, 'invalid value for "t"'),
        ("POST", "/containers/box/resize?w=3", 400, 'invalid resize height ""'),
        ("POST", "/containers/nosuch/kill", 404, "cannot kill container: nosuch: No such container: nosuch"),
        ("DELETE", "/containers/", 400, 'invalid name or ID supplied: ""'),
        (
            "POST",
            "/containers/box/start?checkpoint=x",
            400,
            "checkpoint is only supported in experimental mode",
        ),
    ],
)
async def test_refusals(served: Served, method: str, path: str, status: int, message: str) -> None:
    found, answer = await served.ask(method, path)
    assert (found, answer["message"][: len(message)]) == (status, message)


async def test_start_refuses_a_body(served: Served) -> None:
    status, answer = await served.ask("POST", "/containers/box/start", json={"Binds": ["a:b"]})
    assert status == 400
    assert "non-empty request body" in answer["message"]
    assert (await served.ask("POST", "/containers/box/start", json={}))[0] == 204


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (0, "Less than a second"),
        (-5 * SECOND, "Less than a second"),
        (SECOND, "1 second"),
        (59 * SECOND, "59 seconds"),
        (60 * SECOND, "About a minute"),
        (119 * SECOND, "About a minute"),
        (120 * SECOND, "2 minutes"),
        (59 * 60 * SECOND, "59 minutes"),
        (HOUR, "About an hour"),
        (HOUR * 3 // 2 - 1, "About an hour"),
        (HOUR * 3 // 2, "2 hours"),
        (47 * HOUR, "47 hours"),
        (48 * HOUR, "2 days"),
        (13 * 24 * HOUR, "13 days"),
        (14 * 24 * HOUR, "2 weeks"),
        (60 * 24 * HOUR, "2 months"),
        (730 * 24 * HOUR, "2 years"),
    ],
)
def test_human_durations(span: int, text: str) -> None:
    assert human_duration(span) == text


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State(), "Created"),
        (State(status=Status.RUNNING, started_at=CREATED), "Up 5 minutes"),
        (State(status=Status.PAUSED, started_at=CREATED), "Up 5 minutes (Paused)"),
        (State(status=Status.RESTARTING, exit_code=1, finished_at=CREATED), "Restarting (1) 5 minutes ago"),
        (State(status=Status.EXITED, exit_code=3, finished_at=CREATED), "Exited (3) 5 minutes ago"),
        (State(status=Status.REMOVING), "Removal In Progress"),
        (State(status=Status.DEAD), "Dead"),
    ],
)
def test_the_status_column(state: State, text: str) -> None:
    assert human(state, CREATED + 300 * SECOND) == text


def test_times() -> None:
    assert go_time(0) == "0001-01-01T00:00:00Z"
    assert go_time(CREATED + 120) == "2023-11-14T22:13:20.00000012Z"
