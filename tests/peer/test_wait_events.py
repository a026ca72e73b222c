"""Waiting for containers, and what is told of their lives: as of a real dockerd."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from tests.peer.busy import asked
from tests.peer.comparison import OLD, alike, judged, remove_all, require, same
from tests.peer.ledger import Request
from tests.peer.masks import mask
from tests.peer.peer import Both
from tests.peer.waits import Waiting
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
        asked(daemon.socket, "POST", f"/v1.45/containers/{name}/start")


def post(*verbs: str, name: str = "told") -> Act:
    """Do these verbs to a container."""

    def act(daemon: Any) -> None:
        for verb in verbs:
            asked(daemon.socket, "POST", f"/v1.45/containers/{name}/{verb}")

    return act


def told(daemon: Any, begin: float, version: str) -> list[Any]:
    """The events since then."""
    path = f"/v{version}/events?since={begin:.9f}&until={time.time() + 0.01:.9f}"
    lines = mask(call(daemon.socket, "GET", path).body.decode()).splitlines()
    events = [json.loads(line) for line in lines]
    for event in events:
        del event["time"], event["timeNano"]
        event["Actor"]["Attributes"].pop("execDuration", None)  # a second more or less
    return events


def compare(both: Both, act: Act, version: str = "1.45", *, ordered: bool = True) -> None:
    """The same events of what an act does, with the same attributes."""
    begun = []
    for daemon in (both.wherryd, both.peer):
        begun.append((daemon, time.time()))
        act(daemon)
    time.sleep(0.4)

    def both_told() -> tuple[list[Any], list[Any]]:
        ours, theirs = (told(daemon, begin, version) for daemon, begin in begun)
        if not ordered:
            ours, theirs = sorted(ours, key=json.dumps), sorted(theirs, key=json.dumps)
        return ours, theirs

    ours, theirs = alike(both_told)
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
    def run(daemon: Any) -> None:
        make(daemon, Cmd=["sh", "-c", "exit 3"], Labels={"a": "b"})
        call(daemon.socket, "POST", "/v1.45/containers/told/wait")

    compare(both, run)
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


MEMORY = {"Memory": 32 << 20, "MemorySwap": 32 << 20}  # in less, runc itself may end before the start
RUNS: dict[str, dict[str, Any]] = {
    "command": {"Cmd": ["nosuch"]},
    "command, removed": {"Cmd": ["nosuch"], "HostConfig": {"AutoRemove": True}},
    "command, volume": {"Cmd": ["nosuch"], "HostConfig": {"Binds": ["peer-volume:/x"]}},
    "network": {"HostConfig": {"NetworkMode": "nosuch"}},
    "memory": {"Cmd": ["sh", "-c", "x=a; while true; do x=$x$x; done"], "HostConfig": MEMORY},
    "on the host": {"Cmd": ["true"], "HostConfig": {"NetworkMode": "host"}},
}


@pytest.mark.parametrize("config", RUNS.values(), ids=RUNS)
def test_runs_that_end_badly(both: Both, config: dict[str, Any]) -> None:
    """What a start had got is told, and that it is given back; what ended for want of memory is told so first."""

    def act(daemon: Any) -> None:
        make(daemon, **config)
        call(daemon.socket, "POST", "/v1.45/containers/told/wait")

    compare(both, act)
    both("DELETE", "/volumes/peer-volume")


def test_a_volume_mounted_and_left(both: Both) -> None:
    config: dict[str, Any] = {
        "Cmd": ["true"],
        "HostConfig": {"Binds": ["peer-volume:/x"], "NetworkMode": "none"},
    }

    def act(daemon: Any) -> None:
        make(daemon, **config)
        call(daemon.socket, "POST", "/v1.45/containers/told/wait")

    compare(both, act)
    compare(both, lambda daemon: call(daemon.socket, "DELETE", "/v1.45/containers/told?v=1"))
    both("DELETE", "/volumes/peer-volume")


POLICIES: dict[str, dict[str, Any]] = {
    "no": {"Name": "no"},
    "on-failure": {"Name": "on-failure", "MaximumRetryCount": 2},
    "always": {"Name": "always"},
    "unless-stopped": {"Name": "unless-stopped"},
}


@pytest.mark.parametrize("code", [0, 3])
@pytest.mark.parametrize("policy", POLICIES)
def test_restart_policies(both: Both, policy: str, code: int) -> None:
    """How often it is started again, what is counted, what is waited for, and what a stop ends for good."""
    config: dict[str, Any] = {
        "Cmd": ["sh", "-c", f"exit {code}"],
        "HostConfig": {"RestartPolicy": POLICIES[policy]},
    }
    sides = (both.wherryd, both.peer)
    first = [_next_exit(daemon, config) for daemon in sides]
    time.sleep(1.2)
    endless = policy in ("always", "unless-stopped")
    told = [(exit_, _stopped(daemon, endless)) for exit_, daemon in zip(first, sides, strict=True)]
    assert told[0] == told[1]


def _next_exit(daemon: Any, config: dict[str, Any]) -> Any:
    """What is told to who waited from before the start."""
    make(daemon, start=False, **config)
    with Waiting(daemon.socket, "next-exit") as waiting:
        call(daemon.socket, "POST", "/v1.45/containers/told/start")
        return waiting.result()[1]


def _stopped(daemon: Any, endless: bool) -> list[Any]:
    """The count of restarts and the state, before a stop and after it; what is endless is at some count."""
    count, status = _settled(daemon, endless)
    stopped = call(daemon.socket, "POST", "/v1.45/containers/told/stop").status
    waited = call(daemon.socket, "POST", "/v1.45/containers/told/wait?condition=not-running").json
    after = call(daemon.socket, "GET", "/v1.45/containers/told/json").json["State"]
    return [count, status, stopped, waited, after["Status"], after["ExitCode"], after["Restarting"]]


def _settled(daemon: Any, endless: bool) -> tuple[int, str]:
    """The count and the status of what is over, or of what is endless in one of its longer pauses: at 3 for all."""
    deadline = time.monotonic() + 30
    while True:
        shown = call(daemon.socket, "GET", "/v1.45/containers/told/json").json
        count, status = shown["RestartCount"], shown["State"]["Status"]
        if not endless and status == "exited":
            return count, status
        if endless and status == "restarting" and count > 2:
            return 3, status
        assert time.monotonic() < deadline, (count, status)
        time.sleep(0.02)


@pytest.mark.parametrize("condition", ["not-running", "next-exit", "removed"])
@pytest.mark.parametrize("verbs", [("restart?t=0", "stop?t=0", "start"), ("kill", "start")])
def test_waits_through_restarts(both: Both, condition: str, verbs: tuple[str, ...]) -> None:
    """A restart is an exit to who waits for one; a removal is only what removes."""
    sides = (both.wherryd, both.peer)
    for daemon in sides:
        make(daemon)
    with Waiting(both.wherryd.socket, condition) as ours, Waiting(both.peer.socket, condition) as theirs:
        for verb in verbs:
            for daemon in sides:
                asked(daemon.socket, "POST", f"/v1.45/containers/told/{verb}")
            time.sleep(0.1)
            mine, its = alike(lambda: (ours.done, theirs.done))
            assert mine == its, verb
        for daemon in sides:
            call(daemon.socket, "DELETE", "/v1.45/containers/told?force=1")
        assert ours.result() == theirs.result()


FILTERS: list[dict[str, list[str]]] = [
    {"type": ["container"]},
    {"type": ["container", "network"], "event": ["start", "connect"]},
    {"event": ["die"]},
    {"event": ["exec_start"]},
    {"container": ["told"]},
    {"container": ["tol"]},
    {"container": ["nope"]},
    {"image": ["busybox"]},
    {"image": ["busybox:latest"]},
    {"image": ["nope"]},
    {"label": ["a"]},
    {"label": ["a=b"]},
    {"label": ["a=c"]},
    {"network": ["bridge"]},
    {"volume": ["nope"]},
    {"scope": ["local"]},
    {"scope": ["swarm"]},
    {"daemon": ["x"]},
    {"type": ["nope"]},
    {"type": []},
]


def test_filters_of_events(both: Both) -> None:
    """One life, looked at through every filter."""

    def life(daemon: Any) -> None:
        make(daemon, Labels={"a": "b"}, Cmd=["sh", "-c", "exit 3"])
        call(daemon.socket, "POST", "/v1.45/containers/told/wait")

    _through(both, life, FILTERS)


OF_ALL_KINDS: list[dict[str, list[str]]] = [
    *(
        {"type": [kind]}
        for kind in ("volume", "network", "image", "container", "builder", "daemon", "plugin")
    ),
    *({"event": [action]} for action in ("create", "destroy", "mount", "unmount", "connect", "prune", "tag")),
    *({"event": [action]} for action in ("exec_create", "exec_create: true", "exec_die", "exec", "untag")),
    *({"event": [action]} for action in ("exec_start: true", "health_status", "del", "delete", "reload")),
    {"event": ["exec_create", "conn"]},
    {"event": ["tag", "untag"], "image": ["told-image:1"]},
    *({"image": [name]} for name in ("told-image", "told-image:1", "told-image:2", "told-im")),
    *({"volume": [name]} for name in ("told-volume", "told-v", "told")),
    *({"network": [name]} for name in ("told-network", "told", "bridge")),
    {"network": ["told-network"], "event": ["connect", "disconnect"]},
    {"volume": ["told-volume"], "type": ["volume", "network"]},
    {"label": ["a=b"], "type": ["volume", "network", "container"]},
    {"label": ["a", "c"]},
    {"label": ["a=b", "a=c"]},
    {"container": ["told"], "network": ["told-network"]},
    {"scope": ["local"], "type": ["volume"]},
    {"node": ["x"]},
    {"service": ["x"]},
    {"nonsense": ["x"]},
]


def test_filters_of_events_of_all_kinds(both: Both) -> None:
    """A life with a volume, a network, an exec, an image of its own, and prunes of all."""

    def life(daemon: Any) -> None:
        def post(path: str, body: Any = None) -> Any:
            return call(daemon.socket, "POST", f"/v1.45{path}", body)

        post("/volumes/create", {"Name": "told-volume", "Labels": {"a": "b"}})
        post("/networks/create", {"Name": "told-network", "Labels": {"a": "b"}})
        post("/images/busybox/tag?repo=told-image&tag=1")
        mounts = [{"Type": "volume", "Source": "told-volume", "Target": "/v"}]
        make(daemon, Labels={"a": "b"}, Image="told-image:1", HostConfig={"Mounts": mounts})
        post("/networks/told-network/connect", {"Container": "told"})
        made = post("/containers/told/exec", {"Cmd": ["true"]}).json
        post(f"/exec/{made['Id']}/start", {"Detach": False})
        time.sleep(0.2)
        post("/networks/told-network/disconnect", {"Container": "told"})
        call(daemon.socket, "DELETE", "/v1.45/containers/told?force=1")
        call(daemon.socket, "DELETE", "/v1.45/images/told-image:1")
        for kind in ("containers", "networks", "volumes", "images"):
            post(f"/{kind}/prune?filters={quote(json.dumps({'label': ['nobody-has-it']}))}")
        call(daemon.socket, "DELETE", "/v1.45/networks/told-network")
        call(daemon.socket, "DELETE", "/v1.45/volumes/told-volume")

    _through(both, life, OF_ALL_KINDS)


def _through(both: Both, life: Act, every: list[dict[str, list[str]]]) -> None:
    """The same events of a life, through every filter."""
    spans = []
    for daemon in (both.wherryd, both.peer):
        begin = time.time()
        life(daemon)
        spans.append(f"since={begin:.9f}")
    time.sleep(0.3)
    alike(lambda: _kinds(both, spans))
    spans = [f"{since}&until={time.time():.9f}" for since in spans]
    told = []
    for filters in every:
        for version in ("1.24", "1.45"):
            path = f"/events?SPAN&filters={quote(json.dumps(filters))}"
            ours, theirs = both("GET", path, version=version, ids={"SPAN": (spans[0], spans[1])})
            kept = [_once([_timeless(each) for each in _events(answer.body)]) for answer in (ours, theirs)]
            told += judged(
                Request.of("GET", path, None, version, None),
                replace(ours, body=kept[0]),
                replace(theirs, body=kept[1]),
            )
    require(told)


def _kinds(both: Both, spans: list[str]) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Of which kinds events were told on both sides so far."""
    ids = {"SPAN": (spans[0], spans[1])}
    ours, theirs = both("GET", f"/events?SPAN&until={time.time():.9f}", ids=ids)
    kinds = [{(each["Type"], each["Action"]) for each in _events(answer.body)} for answer in (ours, theirs)]
    return kinds[0], kinds[1]


def _once(events: list[Any]) -> list[Any]:
    """As told, but for what is told twice: dockerd does that of who leaves a network while it runs."""
    return [event for event, before in zip(events, [None, *events], strict=False) if event != before]


def _events(body: Any) -> list[dict[str, Any]]:
    return [body] if isinstance(body, dict) else body or []


def _timeless(event: dict[str, Any]) -> dict[str, Any]:
    event["Actor"]["Attributes"].pop("execDuration", None)
    return {key: value for key, value in event.items() if key not in ("time", "timeNano")}


@pytest.mark.parametrize(
    "query",
    [
        "since=10&until=5",
        "filters={",
        "filters=" + quote('{"type":["bad"]}') + "&since=1&until=2",
        "since=1&until=2",
        "since=1&until=0",
        "until=0&filters=" + quote('{"container":["nobody"]}'),
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


def test_a_reload_of_the_daemon(both: Both) -> None:
    """What is told of it, but for what is each one's own."""
    told = []
    for daemon in (both.wherryd, both.peer):
        begin = time.time()
        os.kill(daemon.pid, signal.SIGHUP)
        path = f"/v1.45/events?since={begin:.9f}&until={{:.9f}}&filters={quote(json.dumps({'type': ['daemon']}))}"
        while not (answer := call(daemon.socket, "GET", path.format(time.time())).body):
            assert time.time() < begin + 20
            time.sleep(0.05)
        (event,) = (json.loads(line) for line in answer.splitlines())
        info = call(daemon.socket, "GET", "/v1.45/info").json
        assert event["Actor"]["ID"] == info["ID"]
        attributes = event["Actor"]["Attributes"]
        for own in ("live-restore", "runtimes", "allow-nondistributable-artifacts", "features"):
            attributes.pop(own, None)
        del event["Actor"]["ID"]
        told.append(_timeless(event))
    assert told[0] == told[1]
