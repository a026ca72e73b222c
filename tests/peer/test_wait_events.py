"""Waiting for containers, and what is told of their lives: as of a real dockerd."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.peer.comparison import OLD, remove_all, same
from tests.peer.masks import mask
from tests.peer.peer import Both
from tests.unix_http import call

pytestmark = pytest.mark.root

SLEEP = ["sleep", "1000"]
Act = Callable[[Any], object]


@pytest.fixture(autouse=True)
def _removed(both: Both) -> Iterator[None]:
    yield
    remove_all(both)


def make(daemon: Any, name: str = "told", start: bool = True, **config: Any) -> None:
    """A container, started unless it is said otherwise."""
    body = {"Image": "busybox", "Cmd": SLEEP, **config}
    call(daemon.socket, "POST", f"/v1.45/containers/create?name={name}", body)
    if start:
        call(daemon.socket, "POST", f"/v1.45/containers/{name}/start")


def post(*verbs: str, name: str = "told") -> Act:
    """Do these verbs to a container."""

    def act(daemon: Any) -> None:
        for verb in verbs:
            call(daemon.socket, "POST", f"/v1.45/containers/{name}/{verb}")

    return act


def told(daemon: Any, act: Act, version: str) -> list[Any]:
    """The events of what an act does."""
    time.sleep(1.05 - time.time() % 1)
    begin = int(time.time())
    act(daemon)
    time.sleep(0.4)
    path = f"/v{version}/events?since={begin}&until={time.time() + 0.01:.9f}"
    lines = mask(call(daemon.socket, "GET", path).body.decode()).splitlines()
    events = [json.loads(line) for line in lines]
    for event in events:
        del event["time"], event["timeNano"]
        event["Actor"]["Attributes"].pop("execDuration", None)  # a second more or less
    return events


def compare(both: Both, act: Act, version: str = "1.45", *, ordered: bool = True) -> None:
    """The same events, with the same attributes."""
    ours, theirs = (told(daemon, act, version) for daemon in (both.wherryd, both.peer))
    if not ordered:
        ours, theirs = sorted(ours, key=json.dumps), sorted(theirs, key=json.dumps)
    assert [event["Action"] for event in ours] == [event["Action"] for event in theirs]
    assert ours == theirs


@pytest.mark.parametrize(
    "verbs",
    [
        ("kill?signal=CONT",),
        ("pause", "unpause"),
        ("rename?name=told2",),
        ("kill",),
        ("resize?h=1&w=x",),
        ("start",),
        ("pause", "pause"),
    ],
)
def test_verbs(both: Both, verbs: tuple[str, ...]) -> None:
    for daemon in (both.wherryd, both.peer):
        make(daemon, Labels={"a": "b"})
    compare(both, post(*verbs))


@pytest.mark.parametrize("version", OLD)
def test_older_versions(both: Both, version: str) -> None:
    for daemon in (both.wherryd, both.peer):
        make(daemon)
    compare(both, post("kill?signal=CONT"), version)


@pytest.mark.parametrize("verbs", [("stop?t=0",), ("restart?t=0",), ("pause", "stop?t=0")])
def test_ends_that_are_asked_for(both: Both, verbs: tuple[str, ...]) -> None:
    """Which of stop and die comes first is chance in dockerd."""
    for daemon in (both.wherryd, both.peer):
        make(daemon)
    compare(both, post(*verbs), ordered=False)


def test_create_run_and_removal(both: Both) -> None:
    compare(both, lambda daemon: make(daemon, Cmd=["sh", "-c", "exit 3"], Labels={"a": "b"}))
    compare(both, lambda daemon: call(daemon.socket, "DELETE", "/v1.45/containers/told"))
    auto: dict[str, Any] = {"HostConfig": {"AutoRemove": True, "NetworkMode": "none"}}
    compare(both, lambda daemon: make(daemon, Cmd=["true"], **auto))


def test_removal_by_force(both: Both) -> None:
    for daemon in (both.wherryd, both.peer):
        make(daemon)
    compare(both, lambda daemon: call(daemon.socket, "DELETE", "/v1.45/containers/told?force=1"))


def test_top_attach_resize(both: Both) -> None:
    for daemon in (both.wherryd, both.peer):
        make(daemon, Cmd=["sh"], Tty=True, OpenStdin=True)
    compare(both, lambda daemon: call(daemon.socket, "GET", "/v1.45/containers/told/top"))
    compare(both, post("attach?logs=1&stdout=1", "resize?h=10&w=20"))


@pytest.mark.parametrize("command", [["true"], ["sh", "-c", "exit 4"], ["nosuch"]])
def test_exec(both: Both, command: list[str]) -> None:
    def act(daemon: Any) -> None:
        made = call(daemon.socket, "POST", "/v1.45/containers/told/exec", {"Cmd": command}).json["Id"]
        call(daemon.socket, "POST", f"/v1.45/exec/{made}/start", {"Detach": True})

    for daemon in (both.wherryd, both.peer):
        make(daemon)
    compare(both, act)


@pytest.mark.parametrize(
    "query",
    [
        "since=10&until=5",
        "filters={",
        "filters=" + quote('{"type":["bad"]}') + "&since=1&until=2",
        "since=1&until=2",
    ],
)
@pytest.mark.parametrize("version", ["1.45", *OLD])
def test_queries(both: Both, query: str, version: str) -> None:
    same(both, "GET", f"/events?{query}", version=version)


@pytest.mark.parametrize("version", ["1.45", *OLD])
def test_wait(both: Both, version: str) -> None:
    for daemon in (both.wherryd, both.peer):
        make(daemon, "ended", Cmd=["sh", "-c", "exit 3"])
        make(daemon, "new", start=False)
    for name in ("ended", "new", "nope"):
        conditions = ("", "?condition=not-running", "?condition=", "?condition=bad")
        for query in conditions if name != "ended" else conditions[:3]:
            same(both, "POST", f"/containers/{name}/wait{query}", version=version)
