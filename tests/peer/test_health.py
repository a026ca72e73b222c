"""Health checks: what is refused, what inspect and lists tell, how probes end and their events, as of dockerd."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.peer.comparison import OLD, alike, remove_all, same, same_values
from tests.peer.ledger import Request
from tests.peer.masks import mask
from tests.peer.peer import Both
from tests.unix_http import call

pytestmark = pytest.mark.root

HOUR, FAST = 3600 * 10**9, 200_000_000
LIFE = {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "none"}}
REFUSED: list[Any] = [
    {"Test": ["CMD", "x"], "Interval": 1},
    {"Test": ["CMD", "x"], "Interval": -1},
    {"Test": ["CMD", "x"], "Timeout": 999_999},
    {"Test": ["CMD", "x"], "Retries": -1},
    {"Test": ["CMD", "x"], "StartPeriod": 5},
    {"Test": ["CMD", "x"], "StartInterval": 5},
    {"Test": ["NONE"], "Interval": 5},
    {"Interval": 10**40},
    {"Test": "CMD"},
    {"Test": [5]},
    {"Retries": "x"},
    7,
]
ACCEPTED: list[Any] = [
    {"Test": ["CMD", "true"], "Interval": HOUR},
    {"Test": ["CMD-SHELL", "true"], "Interval": HOUR, "StartInterval": HOUR, "StartPeriod": 1_000_000},
    {"Test": ["NONE"]},
    {"Test": []},
    {"Test": ["WHAT", "x"]},
    {},
    {"Interval": HOUR, "Retries": 9},
    None,
]
# Not among them: {"Test": ["CMD"]}, by which dockerd itself ends.
ENDS: dict[str, Any] = {
    "fine": {"Test": ["CMD-SHELL", "echo out; exit 0"]},
    "fails": {"Test": ["CMD-SHELL", "echo err >&2; exit 3"]},
    "killed": {"Test": ["CMD-SHELL", "kill -9 $$"]},
    "missing": {"Test": ["CMD", "nosuch", "x"]},
    "missing by path": {"Test": ["CMD", "/no/such"]},
    "not executable": {"Test": ["CMD", "/etc/passwd"]},
    "a directory": {"Test": ["CMD", "/etc"]},
    "late": {"Test": ["CMD-SHELL", "echo a; exec sleep 1000"], "Timeout": 1_500_000_000},
    "late and silent": {"Test": ["CMD", "sleep", "1000"], "Timeout": 1_000_000},
    "long": {"Test": ["CMD-SHELL", "yes | head -c 4097"]},
    "just not long": {"Test": ["CMD-SHELL", "yes | head -c 4096"]},
    "no text": {"Test": ["CMD-SHELL", r"printf 'a\377\303\376b\000c\\'"]},
    "its environment": {"Test": ["CMD", "env"]},
}


@pytest.fixture(scope="module", autouse=True)
def _removed(peer_wherryd: Any, peer: Any) -> Iterator[None]:
    yield
    remove_all(Both(peer_wherryd, peer))


def create(both: Both, name: str, check: Any, version: str = "1.45", **config: Any) -> None:
    body = LIFE | {"Healthcheck": check} | config
    same(both, "POST", f"/containers/create?name={name}", body, version=version)


def start(both: Both, name: str, verb: str = "start") -> None:
    same(both, "POST", f"/containers/{name}/{verb}")


@pytest.mark.parametrize("check", REFUSED, ids=json.dumps)
@pytest.mark.parametrize("version", ["1.45", *OLD])
def test_refused(both: Both, check: Any, version: str) -> None:
    same(both, "POST", "/containers/create", LIFE | {"Healthcheck": check}, version=version)
    remove_all(both)


@pytest.mark.parametrize("check", ACCEPTED, ids=json.dumps)
def test_inspect_and_list_before_the_first_probe(both: Both, check: Any) -> None:
    create(both, "hc", check)
    start(both, "hc")
    for version in ("1.45", *OLD):
        same(both, "GET", "/containers/hc/json", version=version)
        same(both, "GET", "/containers/json", version=version)
    for status in ("starting", "healthy", "unhealthy", "none", "bad"):
        same(both, "GET", "/containers/json?filters=" + quote(json.dumps({"health": [status]})))
    remove_all(both)


@pytest.mark.parametrize("version", OLD)
def test_start_interval_is_of_1_44(both: Both, version: str) -> None:
    create(both, "hc", {"Test": ["CMD", "true"], "StartInterval": HOUR}, version)
    same(both, "GET", "/containers/hc/json")
    remove_all(both)


def result(where: Path) -> dict[str, Any]:
    """The first result of a probe."""
    end = time.monotonic() + 20
    while True:
        health = call(where, "GET", "/v1.45/containers/hc/json").json["State"]["Health"]
        if health["Log"]:
            return {
                "Status": health["Status"],
                **{key: health["Log"][0][key] for key in ("ExitCode", "Output")},
            }
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("check", ENDS.values(), ids=list(ENDS))
def test_results(both: Both, check: Any) -> None:
    """What the log says of the first probe, and the status that it leads to."""
    create(
        both,
        "hc",
        {"Interval": FAST, "Retries": 1, "Timeout": 20 * 10**9, **check},
        Hostname="h",
        Env=["A=b"],
    )
    start(both, "hc")
    ours, theirs = (result(daemon.socket) for daemon in (both.wherryd, both.peer))
    request = Request.of(
        "GET", f"/containers/hc/json?check={quote(json.dumps(check['Test']))}", None, "1.45", None
    )
    same_values(request, masked(ours), masked(theirs))
    remove_all(both)


def masked(found: dict[str, Any]) -> Any:
    return json.loads(mask(json.dumps(found)))


def test_status_through_a_life(both: Both) -> None:
    """Paused, woken, stopped, started and restarted: what counts as what, whatever the last probe said."""
    create(
        both, "hc", {"Test": ["CMD", "true"], "Interval": HOUR, "StartInterval": FAST, "StartPeriod": HOUR}
    )
    start(both, "hc")
    for daemon in (both.wherryd, both.peer):
        assert result(daemon.socket)["Status"] == "healthy"
    for verb in ("pause", "unpause", "pause", "unpause", "kill", "start", "restart?t=0", "stop?t=0", "start"):
        start(both, "hc", verb)
        if verb == "kill":
            same(both, "POST", "/containers/hc/wait")
        begins = verb.startswith(("start", "restart"))
        ours, theirs = alike(partial(standings, both, begins=begins))
        assert ours == theirs, verb
    remove_all(both)


def standings(both: Both, *, begins: bool) -> tuple[list[Any], list[Any]]:
    """Of both."""
    return standing(both.wherryd.socket, begins=begins), standing(both.peer.socket, begins=begins)


def standing(where: Path, *, begins: bool) -> list[Any]:
    """How its health stands now; of a run that begins, after its first probe."""
    end = time.monotonic() + 20
    while True:
        state = call(where, "GET", "/v1.45/containers/hc/json").json["State"]
        health = state["Health"]
        if not begins or health["Status"] == "healthy":
            return [health["Status"], health["FailingStreak"], len(health["Log"]), state["Status"]]
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_probe_that_runs_is_an_exec(both: Both) -> None:
    """It can be inspected, and not be started again."""
    check = {"Test": ["CMD", "sleep", "1000"], "Interval": FAST, "Timeout": HOUR}
    create(both, "hc", check, User="7")
    start(both, "hc")
    ours, theirs = (execution(daemon.socket) for daemon in (both.wherryd, both.peer))
    request = Request.of("GET", "/exec/probe/json", None, "1.45", None)
    same_values(request, masked(ours), masked(theirs))
    remove_all(both)


def execution(where: Path) -> dict[str, Any]:
    """What is told of the probe that runs."""
    end = time.monotonic() + 20
    while True:
        (probe,) = call(where, "GET", "/v1.45/containers/hc/json").json["ExecIDs"] or [""]
        told = call(where, "GET", f"/v1.45/exec/{probe}/json").json if probe else {}
        pid = told.pop("Pid", 0)
        if pid and Path(f"/proc/{pid}/cmdline").read_text() == "sleep\0001000\0":
            again = call(where, "POST", f"/v1.45/exec/{probe}/start", {"Detach": True})
            return {"told": told, "again": again.status}
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("check", ["fine", "fails", "missing"])
def test_events(both: Both, check: str) -> None:
    """Those of one probe and of what it leads to, in order, with all that they say."""
    create(both, "hc", {"Interval": FAST, "Retries": 1, **ENDS[check]}, Labels={"a": "b"})
    with ThreadPoolExecutor(2) as pool:
        begin = time.time()
        listening = [pool.submit(told, daemon.socket, begin) for daemon in (both.wherryd, both.peer)]
        start(both, "hc")
        ours, theirs = (each.result() for each in listening)
    request = Request.of("GET", f"/events?of={quote(check)}", None, "1.45", None)
    same_values(request, ours, theirs)
    remove_all(both)


def told(where: Path, since: float) -> list[Any]:
    """The events of the container from then to the first status that is told."""
    filters = quote(json.dumps({"container": ["hc"], "type": ["container"]}))
    query = f"since={since:.9f}&filters={filters}"
    events = []
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(where))
        connection.sendall(f"GET /v1.45/events?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        for line in connection.makefile("rb"):
            if line.startswith(b"{"):
                event = json.loads(mask(line.decode()))
                events.append([event[key] for key in ("status", "Type", "Action", "Actor", "from", "scope")])
                if event["Action"].startswith("health_status"):
                    break
    return events
