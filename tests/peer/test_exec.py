"""Execs: what is refused, what their streams carry and what inspect tells, as of a real dockerd."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.peer.busy import asked
from tests.peer.comparison import JSON, OLD, remove_all, same, same_stream
from tests.peer.peer import Both, Ids
from tests.unix_http import call
from tests.waiting import eventually

pytestmark = pytest.mark.root

OUTPUT = {"AttachStdout": True, "AttachStderr": True}
CREATES: list[Any] = [
    {},
    {"Cmd": []},
    {"Cmd": "x"},
    {"Cmd": 5},
    {"Cmd": ["x"], "User": "nosuch"},
    {"Cmd": ["x"], "Env": ["=x"]},
    {"Cmd": ["x"], "Env": "x"},
    {"Cmd": ["x"], "DetachKeys": "bad"},
    {"Cmd": ["x"], "DetachKeys": "ctrl-a,b"},
    {"Cmd": ["x"], "WorkingDir": "rel"},
    {"Cmd": ["x"], "ConsoleSize": [1]},
    {"Cmd": ["x"], "ConsoleSize": [1, 2]},
    {"Cmd": ["x"], "Container": "y", "Detach": True},
]
TERMINAL = {"Tty": True}
RUNS: list[tuple[dict[str, Any], dict[str, Any], bytes]] = [
    ({"Cmd": ["sh", "-c", "echo hi; sleep .5; echo e >&2; exit 4"]}, {}, b""),
    ({"Cmd": ["echo", "hi"], **TERMINAL}, TERMINAL, b""),
    ({"Cmd": ["echo", "hi"], **TERMINAL}, {}, b""),
    ({"Cmd": ["echo", "hi"]}, TERMINAL, b""),
    ({"Cmd": ["nosuch"]}, {}, b""),
    ({"Cmd": ["nosuch"], **TERMINAL}, TERMINAL, b""),
    ({"Cmd": ["/etc"]}, {}, b""),
    ({"Cmd": ["true"], "User": "nosuch"}, {}, b""),
    ({"Cmd": ["true"], "WorkingDir": "/nope"}, {}, b""),
    ({"Cmd": ["true"], "WorkingDir": "rel"}, {}, b""),
    ({"Cmd": ["pwd"], "WorkingDir": "/tmp"}, {}, b""),
    ({"Cmd": ["id", "-u"], "User": "5:6"}, {}, b""),
    ({"Cmd": ["env"], "Env": ["A=b", "PATH=/bin"]}, {}, b""),
    ({"Cmd": ["cat"], "AttachStdin": True}, {}, b"hello\n"),
    ({"Cmd": ["cat"], "AttachStdin": True, **TERMINAL}, TERMINAL, b"hello\n\x04"),
    ({"Cmd": ["true"]}, {"Detach": True}, b""),
    ({"Cmd": ["nosuch"]}, {"Detach": True}, b""),
]


@pytest.fixture(scope="module", autouse=True)
def _containers(peer_wherryd: Any, peer: Any) -> Iterator[None]:
    for daemon in (peer_wherryd, peer):
        for name in ("run", "cr", "ex", "pa"):
            body = {"Image": "busybox", "Cmd": ["true"] if name == "ex" else ["sleep", "1000"]}
            call(daemon.socket, "POST", f"/v1.45/containers/create?name={name}", body)
            if name != "cr":
                call(daemon.socket, "POST", f"/v1.45/containers/{name}/start")
        call(daemon.socket, "POST", "/v1.45/containers/ex/wait")
        asked(daemon.socket, "POST", "/v1.45/containers/pa/pause")
    yield
    remove_all(Both(peer_wherryd, peer))


@pytest.mark.parametrize("config", CREATES, ids=json.dumps)
def test_create(both: Both, config: Any) -> None:
    same(both, "POST", "/containers/run/exec", config)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null"])
def test_bodies(both: Both, body: bytes) -> None:
    same(both, "POST", "/containers/run/exec", body, headers=JSON)


@pytest.mark.parametrize("name", ["cr", "ex", "pa", "nope"])
@pytest.mark.parametrize("version", ["1.45", *OLD])
def test_create_where_it_may_not_be(both: Both, name: str, version: str) -> None:
    same(both, "POST", f"/containers/{name}/exec", {"Cmd": ["true"]}, version=version)


@pytest.mark.parametrize("verb", ["start", "resize", "resize?h=1&w=1", "resize?h=x&w=1"])
def test_no_such_exec(both: Both, verb: str) -> None:
    same(both, "POST", f"/exec/nope/{verb}", b"{}", headers=JSON)


@pytest.mark.parametrize("version", ["1.45", *OLD])
def test_inspect_of_none(both: Both, version: str) -> None:
    same(both, "GET", "/exec/nope/json", version=version)


def made(both: Both, config: Any, version: str = "1.45") -> Ids:
    """An exec on both sides: what EXEC in a path stands for."""
    ours, theirs = (
        call(daemon.socket, "POST", f"/v{version}/containers/run/exec", config).json["Id"]
        for daemon in (both.wherryd, both.peer)
    )
    return {"EXEC": (ours, theirs)}


def run(both: Both, config: Any, start: Any, version: str = "1.45", **how: Any) -> None:
    """The same stream, and the same told by inspect afterwards."""
    ids = made(both, OUTPUT | config, version)
    same_stream(both, "/exec/EXEC/start", start, version=version, ids=ids, patience=5, **how)
    for where, exec_id in zip((both.wherryd.socket, both.peer.socket), ids["EXEC"], strict=True):
        eventually(partial(over, where, exec_id))
    command = quote(config["Cmd"][0])  # by which the table of differences knows it
    same(both, "GET", f"/exec/EXEC/json?of={command}", version=version, ids=ids)


def over(where: Path, exec_id: str) -> bool:
    """Whether an exec has ended: its stream ends a moment before, and who detached hears nothing of it."""
    return not call(where, "GET", f"/v1.45/exec/{exec_id}/json").json["Running"]


@pytest.mark.parametrize(("config", "start", "send"), RUNS, ids=repr)
def test_run(both: Both, config: Any, start: Any, send: bytes) -> None:
    run(both, config, start, send=send)


@pytest.mark.parametrize("version", OLD)
@pytest.mark.parametrize("upgrade", [True, False])
def test_streams_of_older_versions(both: Both, version: str, upgrade: bool) -> None:
    run(both, {"Cmd": ["echo", "hi"]}, {}, version, upgrade=upgrade)


def test_inspect_before_the_start(both: Both) -> None:
    body = {"Cmd": ["sh", "-c", "true"], "Tty": True, "Privileged": True, "User": "0"}
    same(both, "GET", "/exec/EXEC/json", ids=made(both, body))
