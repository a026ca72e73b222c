"""What is done to containers, in states that allow it and in states that do not: as a real dockerd answers."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.peer.comparison import JSON, OLD, make_all, remove_all, same
from tests.peer.peer import Both
from tests.unix_http import call
from tests.waiting import eventually

pytestmark = pytest.mark.root

CONTAINERS: dict[str, dict[str, Any]] = {
    "run": {"Cmd": ["sleep", "1000"]},
    "cr": {"Cmd": ["sleep", "1000"]},
    "ex": {"Cmd": ["sh", "-c", "exit 3"]},
    "pa": {"Cmd": ["sleep", "1000"]},
    "tty": {"Cmd": ["sh"], "Tty": True, "OpenStdin": True},
}
ALIVE = ("run", "pa", "tty")
NOT_RUNNING = ("cr", "ex", "nope")
NAMES = (*ALIVE, *NOT_RUNNING)


@pytest.fixture(scope="module", autouse=True)
def _containers(peer_wherryd: Any, peer: Any) -> Iterator[None]:
    """Running, created, exited, paused, with a terminal; nobody is called nope."""
    make_all(Both(peer_wherryd, peer), CONTAINERS)
    yield
    remove_all(Both(peer_wherryd, peer))


def ask(both: Both, method: str, path: str, version: str = "1.45", body: bytes | None = None) -> None:
    same(both, method, path, body, version=version, headers=JSON if body else None)


@pytest.mark.parametrize("name", ["run", "pa", "nope"])
@pytest.mark.parametrize("version", ["1.45", *OLD])
def test_start(both: Both, name: str, version: str) -> None:
    ask(both, "POST", f"/containers/{name}/start", version)


@pytest.mark.parametrize(
    ("query", "body"), [("", b'{"x":1234567}'), ("?checkpoint=x", None), ("?checkpoint-dir=x", b"{}")]
)
def test_start_with_more(both: Both, query: str, body: bytes | None) -> None:
    ask(both, "POST", f"/containers/run/start{query}", body=body)


@pytest.mark.parametrize("name", NOT_RUNNING)
@pytest.mark.parametrize(
    "verb",
    [
        "stop",
        "stop?t=x",
        "stop?signal=NOPE",
        "kill",
        "kill?signal=NOPE",
        "pause",
        "unpause",
        "resize?h=1&w=1",
    ],
)
def test_what_does_not_run(both: Both, name: str, verb: str) -> None:
    ask(both, "POST", f"/containers/{name}/{verb}")


@pytest.mark.parametrize("name", ALIVE)
@pytest.mark.parametrize(
    "verb",
    [
        "stop?t=x",
        "stop?signal=NOPE",
        "restart?t=x",
        "restart?signal=NOPE",
        "kill?signal=NOPE",
        "kill?signal=0",
        "kill?signal=-1",
        "kill?signal=99",
        "resize",
        "resize?h=x&w=1",
        "resize?h=-1&w=1",
        "resize?h=99999999999&w=1",
        "resize?h=10&w=10",
        "rename",
        "rename?name=",
        "rename?name=cr",
        "rename?name=b@d",
    ],
)
def test_bad_values(both: Both, name: str, verb: str) -> None:
    ask(both, "POST", f"/containers/{name}/{verb}")


@pytest.mark.parametrize("signal", ["CONT", "sigcont", "SIGCONT", "18", "WINCH"])
@pytest.mark.parametrize("name", ["run", "tty"])
def test_kill_by_name_and_number(both: Both, name: str, signal: str) -> None:
    ask(both, "POST", f"/containers/{name}/kill?signal={signal}")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("query", ["?name={}", "?name=/{}"])
def test_rename_to_the_same(both: Both, name: str, query: str) -> None:
    ask(both, "POST", f"/containers/{name}/rename{query.format(name)}")


@pytest.mark.parametrize("query", ["", "?v=1&link=1", "?force=0"])
@pytest.mark.parametrize("name", [*ALIVE, "nope"])
def test_removal_of_what_runs(both: Both, name: str, query: str) -> None:
    ask(both, "DELETE", f"/containers/{name}{query}")


@pytest.mark.parametrize("path", ["/containers/%20", "/containers/run/nope"])
def test_strange_paths(both: Both, path: str) -> None:
    ask(both, "DELETE", path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("query", ["?ps_args=-o+comm", "?ps_args=bad%21", "?ps_args=-o+nope"])
def test_top_of_bad_arguments(both: Both, name: str, query: str) -> None:
    ask(both, "GET", f"/containers/{name}/top{query}")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "query",
    [
        "",
        "?ps_args=aux",
        "?ps_args=-eo+pid,comm",
        "?ps_args=-o+pid,comm",
        "?ps_args=-f",
        "?ps_args=m",
        "?ps_args=axf",
    ],
)
def test_top(both: Both, name: str, query: str) -> None:
    ask(both, "GET", f"/containers/{name}/top{query}")


def gone(where: Path) -> bool:
    return call(where, "GET", "/v1.45/containers/auto/json").status == 404


def test_auto_remove(both: Both) -> None:
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"AutoRemove": True}}
    both("POST", "/containers/create?name=auto", body)
    ask(both, "POST", "/containers/auto/start")
    ask(both, "POST", "/containers/auto/stop?t=0")
    for daemon in (both.wherryd, both.peer):
        eventually(partial(gone, daemon.socket))
    ask(both, "GET", "/containers/auto/json")
