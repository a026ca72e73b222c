"""Execs: what is refused, what their streams carry and what inspect tells, as of a real dockerd."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.peer.comparison import CLIENTS_FAULT, JSON, OLD, remove_all, require_all_met, same
from tests.peer.differences import table
from tests.peer.peer import Answer, Both
from tests.peer.raw import exchange
from tests.unix_http import call

pytestmark = pytest.mark.root

KNOWN = table(
    ("status", "DetachKeys", CLIENTS_FAULT),
    ("body.message", "DetachKeys", "in the words of attach"),
    ("*", '"ConsoleSize": [1]', "a size has two numbers"),
    ("*", '"Env": ["=x"]', "refused before it is to start"),
    ("body.message", "/resize", "as later engines say it"),
    ("body.Pid", "", "each process has its own"),
    ("body.ExitCode", "nosuch", "127 for a command that is not there, as of later engines"),
)
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
    ({"Cmd": ["sh", "-c", "echo hi; sleep .1; echo e >&2; exit 4"]}, {}, b""),
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
        call(daemon.socket, "POST", "/v1.45/containers/pa/pause")
    yield
    remove_all(Both(peer_wherryd, peer))


@pytest.mark.parametrize("config", CREATES, ids=json.dumps)
def test_create(both: Both, config: Any) -> None:
    same(both, KNOWN, "POST", "/containers/run/exec", config, label=json.dumps(config))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null"])
def test_bodies(both: Both, body: bytes) -> None:
    same(both, KNOWN, "POST", "/containers/run/exec", body, headers=JSON)


@pytest.mark.parametrize("name", ["cr", "ex", "pa", "nope"])
@pytest.mark.parametrize("version", ["1.45", *OLD])
def test_create_where_it_may_not_be(both: Both, name: str, version: str) -> None:
    same(both, KNOWN, "POST", f"/containers/{name}/exec", {"Cmd": ["true"]}, version=version)


@pytest.mark.parametrize("verb", ["start", "resize", "resize?h=1&w=1", "resize?h=x&w=1"])
def test_no_such_exec(both: Both, verb: str) -> None:
    same(both, KNOWN, "POST", f"/exec/nope/{verb}", b"{}", headers=JSON)


@pytest.mark.parametrize("version", ["1.45", *OLD])
def test_inspect_of_none(both: Both, version: str) -> None:
    same(both, KNOWN, "GET", "/exec/nope/json", version=version)


def run(both: Both, config: Any, start: Any, version: str = "1.45", **how: Any) -> list[tuple[str, Answer]]:
    """What the stream carried and what inspect told afterwards, of both."""
    found = []
    for daemon in (both.wherryd, both.peer):
        made = call(daemon.socket, "POST", f"/v{version}/containers/run/exec", OUTPUT | config).json["Id"]
        told = exchange(daemon.socket, f"/v{version}/exec/{made}/start", start, patience=5, **how)
        time.sleep(0.1)
        found.append((told, Answer.of(call(daemon.socket, "GET", f"/v{version}/exec/{made}/json"))))
    return found


@pytest.mark.parametrize(("config", "start", "send"), RUNS, ids=repr)
def test_run(both: Both, config: Any, start: Any, send: bytes) -> None:
    (ours, mine), (theirs, its) = run(both, config, start, send=send)
    assert ours == theirs
    assert KNOWN.between(json.dumps(config), mine, its) == []


@pytest.mark.parametrize("version", OLD)
@pytest.mark.parametrize("upgrade", [True, False])
def test_streams_of_older_versions(both: Both, version: str, upgrade: bool) -> None:
    (ours, mine), (theirs, its) = run(both, {"Cmd": ["echo", "hi"]}, {}, version, upgrade=upgrade)
    assert ours == theirs
    assert KNOWN.between("", mine, its) == []


def test_inspect_before_the_start(both: Both) -> None:
    told = []
    for daemon in (both.wherryd, both.peer):
        body = {"Cmd": ["sh", "-c", "true"], "Tty": True, "Privileged": True, "User": "0"}
        made = call(daemon.socket, "POST", "/v1.45/containers/run/exec", body).json["Id"]
        told.append(Answer.of(call(daemon.socket, "GET", f"/v1.45/exec/{made}/json")))
    assert KNOWN.between("", *told) == []


def test_every_difference_is_met(request: pytest.FixtureRequest) -> None:
    require_all_met(request, KNOWN)
