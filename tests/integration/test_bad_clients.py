"""Clients that never read, that vanish, and that all come at once: they harm their own container at most."""

import contextlib
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Wherryd
from tests.unix_http import Response
from tests.waiting import eventually

pytestmark = pytest.mark.root

YES = "while :; do echo 0123456789012345678901234567890123456789012345678901234567890123456789; done"
SEVERAL = 100


@pytest.fixture(autouse=True)
def cleared(no_leftovers: None, wherryd: Wherryd) -> Iterator[None]:
    """What a failed test left does not fail the next one."""
    yield
    if ids := wherryd.docker("ps", "-aq").stdout.split():
        wherryd.docker("rm", "-f", *ids)


def connect(wherryd: Wherryd) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(20)
    client.connect(str(wherryd.socket))
    return client


def request(wherryd: Wherryd, method: str, target: str, body: bytes = b"", *headers: str) -> socket.socket:
    """Send a request and leave the rest to the caller."""
    client = connect(wherryd)
    lines = [f"{method} {target} HTTP/1.1", "Host: docker", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    client.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    return client


def attach(wherryd: Wherryd, name: str, query: str = "stream=1&stdout=1&stderr=1&stdin=1") -> socket.socket:
    """An attached client, its head read."""
    client = request(
        wherryd, "POST", f"/containers/{name}/attach?{query}", b"", "Connection: Upgrade", "Upgrade: tcp"
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = client.recv(1)
        assert byte, head
        head += byte
    assert head.startswith(b"HTTP/1.1 101"), head
    return client


def rss(wherryd: Wherryd) -> int:
    """The daemon's memory in KiB."""
    with open(f"/proc/{wherryd.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def descriptors(wherryd: Wherryd) -> int:
    return len(os.listdir(f"/proc/{wherryd.pid}/fd"))


def settles(value: Callable[[], int], limit: int, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while value() > limit:
        assert time.monotonic() < deadline, f"{value()} > {limit}"
        time.sleep(0.1)


@pytest.fixture
def noisy(wherryd: Wherryd) -> Iterator[str]:
    """A container that writes without end, and logs nothing."""
    wherryd.docker("run", "-d", "-i", "--name", "noisy", "--log-driver", "none", "busybox", "sh", "-c", YES)
    yield "noisy"
    wherryd.docker("rm", "-f", "noisy")


def test_a_client_that_never_reads_halts_its_own_container(wherryd: Wherryd, noisy: str) -> None:
    before = rss(wherryd)
    with attach(wherryd, noisy, "stream=1&stdout=1") as client:
        eventually(lambda: is_halted(wherryd, noisy))  # as by a full pipe
        first = ticks(wherryd, noisy)
        assert rss(wherryd) - before < 8 * 1024
        assert wherryd.docker("run", "--rm", "busybox", "echo", "others").stdout == "others\n"
        assert len(client.recv(100)) == 100
        received = 0
        while received < 4 << 20:
            received += len(client.recv(1 << 16))
    eventually(lambda: ticks(wherryd, noisy) > first)  # without the client it goes on


def is_halted(wherryd: Wherryd, name: str) -> bool:
    """Whether a container's first process does nothing for a second."""
    before = ticks(wherryd, name)
    time.sleep(1)
    return ticks(wherryd, name) == before


def ticks(wherryd: Wherryd, name: str) -> int:
    """The processor time of a container's first process."""
    pid = wherryd.get(f"/containers/{name}/json").json["State"]["Pid"]
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_followers_that_never_read(wherryd: Wherryd) -> None:
    limits = ("--log-opt", "max-size=4m", "--log-opt", "max-file=2")
    wherryd.docker("run", "-d", "--name", "loud", *limits, "busybox", "sh", "-c", YES)
    before, files = rss(wherryd), descriptors(wherryd)
    with contextlib.ExitStack() as clients:
        for _ in range(5):
            clients.enter_context(request(wherryd, "GET", "/containers/loud/logs?follow=1&stdout=1"))
            clients.enter_context(request(wherryd, "GET", "/events?since=0"))
        time.sleep(2)
        first = ticks(wherryd, "loud")
        eventually(lambda: ticks(wherryd, "loud") > first)  # a reader of the log halts nobody
        for _ in range(20):
            wherryd.docker("run", "--rm", "-l", f"long={'x' * 20000}", "busybox", "true")
        assert rss(wherryd) - before < 24 * 1024
    settles(lambda: descriptors(wherryd), files)
    wherryd.docker("rm", "-f", "loud")


def test_clients_that_vanish_are_let_go(wherryd: Wherryd) -> None:
    wherryd.docker("run", "-d", "-i", "--name", "cat", "busybox", "cat")
    wherryd.docker("create", "-i", "--name", "parked", "busybox", "cat")
    attach(wherryd, "cat").close()
    attach(wherryd, "parked").close()
    time.sleep(0.5)
    before = descriptors(wherryd)
    for number in range(200):
        client = attach(wherryd, "cat" if number % 2 else "parked")
        if number % 3:
            client.sendall(b"x" * 100)
        client.close()
    for _ in range(50):  # in the middle of the upgrade
        target = "/containers/cat/attach?stream=1&stdout=1&stdin=1"
        request(wherryd, "POST", target, b"", "Connection: Upgrade", "Upgrade: tcp").close()
        request(wherryd, "GET", "/events").close()
        request(wherryd, "POST", "/containers/cat/wait").close()
        request(wherryd, "GET", "/containers/cat/logs?follow=1&stdout=1").close()
    settles(lambda: descriptors(wherryd), before)
    assert wherryd.docker("exec", "cat", "echo", "in").stdout == "in\n"
    wherryd.docker("rm", "-f", "cat", "parked")


def test_a_parked_client_gets_a_container_that_starts_meanwhile(wherryd: Wherryd, tmp_path: Path) -> None:
    """Whenever it attaches, before, during or after the start: it gets the output's end."""
    script = "until [ -e /seen/attached ]; do sleep 0.05; done; echo late"
    attached = tmp_path / "attached"
    for number in range(12):
        attached.unlink(missing_ok=True)
        wherryd.docker("create", "--name", "during", "-v", f"{tmp_path}:/seen", "busybox", "sh", "-c", script)
        starting = threading.Thread(target=wherryd.docker, args=("start", "during"))
        starting.start()
        time.sleep(0.012 * number)
        with attach(wherryd, "during", "stream=1&stdout=1") as client:
            attached.touch()
            assert b"late" in everything(client)
        starting.join()
        wherryd.docker("rm", "-f", "during")


def test_a_parked_client_is_let_go_when_its_container_goes(wherryd: Wherryd) -> None:
    wherryd.docker("create", "-i", "--name", "parked", "busybox", "cat")
    with attach(wherryd, "parked") as client:
        wherryd.docker("rm", "parked")
        assert everything(client) == b""


def test_a_half_close_ends_the_input_alone(wherryd: Wherryd) -> None:
    script = "cat; sleep 0.5; echo after"
    wherryd.docker("create", "-i", "--name", "half", "busybox", "sh", "-c", script)
    with attach(wherryd, "half") as client:
        client.sendall(b"in\n")
        client.shutdown(socket.SHUT_WR)
        wherryd.docker("start", "half")
        seen = everything(client)
        assert b"in\n" in seen
        assert b"after\n" in seen
    wherryd.docker("rm", "-f", "half")


def everything(client: socket.socket) -> bytes:
    seen = b""
    while data := client.recv(1 << 16):
        seen += data
    return seen


def statuses(wherryd: Wherryd, calls: list[tuple[str, str, dict[str, Any] | None]]) -> Counter[int]:
    """Make calls at the same time and count what comes of them; each is answered within a minute."""
    with ThreadPoolExecutor(min(len(calls), 50)) as pool:
        answers = list(pool.map(lambda call: wherryd.call(*call, timeout=60), calls))
    for each in answers:
        was_done_already = b"same name as its current name" in each.body
        assert each.status in (200, 201, 204, 304, 404, 409) or was_done_already, (each.status, each.body)
    return Counter(each.status for each in answers)


SLEEP = {"Image": "busybox", "Cmd": ["sleep", "1000"], "StopSignal": "KILL"}


def test_many_at_once(wherryd: Wherryd) -> None:
    names = [f"many-{number}" for number in range(30)]
    made = statuses(wherryd, [("POST", f"/containers/create?name={name}", SLEEP) for name in names])
    assert made == {201: 30}
    assert statuses(wherryd, [("POST", f"/containers/{name}/start", None) for name in names]) == {204: 30}
    stopped = statuses(wherryd, [("POST", f"/containers/{name}/stop", None) for name in names * 2])
    assert stopped[204] >= 30
    removed = statuses(wherryd, [("DELETE", f"/containers/{name}?force=1", None) for name in names * 2])
    assert removed[204] == 30
    assert wherryd.docker("ps", "-aq").stdout == ""


def test_everything_at_once_on_one_name(wherryd: Wherryd) -> None:
    """Creates, starts, stops, kills, renames, restarts and removals of one name: no verdict but those of Docker."""
    verbs = [
        ("POST", "/containers/create?name=same", SLEEP),
        ("POST", "/containers/same/start", None),
        ("POST", "/containers/same/stop?t=1", None),
        ("POST", "/containers/same/restart?t=0", None),
        ("POST", "/containers/same/kill", None),
        ("POST", "/containers/same/rename?name=same2", None),
        ("POST", "/containers/same2/rename?name=same3", None),
        ("POST", "/containers/same/pause", None),
        ("POST", "/containers/same/unpause", None),
        ("DELETE", "/containers/same?force=1", None),
    ]
    statuses(wherryd, verbs * 20)
    for name in ("same", "same2", "same3"):
        wherryd.call("DELETE", f"/containers/{name}?force=1", timeout=60)
    assert wherryd.docker("ps", "-aq").stdout == ""


def test_restarts_at_once_of_a_container_that_removes_itself(wherryd: Wherryd) -> None:
    """Between the halves of one restart another one ends: the end in between is still no end."""
    wherryd.docker("run", "-d", "--rm", "--name", "again", "busybox", "sleep", "1000")
    calls = [("POST", "/containers/again/restart?t=0", None)] * 8
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda call: wherryd.call(*call, timeout=60), calls))
    assert {answer.status for answer in answers} <= {204, 304}, answers
    assert wherryd.get("/containers/again/json").json["State"]["Running"]
    wherryd.docker("rm", "-f", "again")


def test_one_create_of_a_name_wins(wherryd: Wherryd) -> None:
    """The others are told who has it: clients read that from the text."""

    def create(_: int) -> Response:
        return wherryd.call("POST", "/containers/create?name=wanted", SLEEP, timeout=60)

    with ThreadPoolExecutor(SEVERAL) as pool:
        answers = list(pool.map(create, range(SEVERAL)))
    assert Counter(answer.status for answer in answers) == {201: 1, 409: SEVERAL - 1}
    made = wherryd.get("/containers/wanted/json").json["Id"]
    assert [answer.body for answer in answers if made not in answer.body.decode()] == []
    wherryd.docker("rm", "wanted")


def test_one_rename_to_a_name_wins(wherryd: Wherryd) -> None:
    names = [f"racer-{number}" for number in range(20)]
    for name in names:
        wherryd.docker("create", "--name", name, "busybox")
    calls = [("POST", f"/containers/{name}/rename?name=won", None) for name in names]
    assert statuses(wherryd, list(calls)) == {204: 1, 409: 19}
    left = wherryd.docker("ps", "-a", "--format", "{{.Names}}").stdout.split()
    assert len(left) == 20
    assert "won" in left
    wherryd.docker("rm", *left)


def test_removal_during_a_start(wherryd: Wherryd) -> None:
    for number in range(8):
        wherryd.docker("create", "--name", "brief", "-p", "18121:80", "busybox", "sleep", "1000")
        starting = threading.Thread(target=wherryd.call, args=("POST", "/containers/brief/start"))
        starting.start()
        time.sleep(0.01 * number)
        answer = wherryd.call("DELETE", "/containers/brief?force=1")
        assert answer.status in (204, 409), answer.body
        starting.join()
        if answer.status == 409:
            wherryd.docker("rm", "-f", "brief")
        assert wherryd.docker("ps", "-aq").stdout == ""
