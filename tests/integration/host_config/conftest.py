"""Containers by what their HostConfig asks for, through the API alone: a client would fill in defaults of its own."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import kernel
from tests.daemon import Wherryd
from tests.waiting import eventually

SLEEP = ("sleep", "1000")


@dataclass(frozen=True, slots=True)
class Box:
    """A running container and the number of its first process."""

    id: str
    pid: int
    daemon: Wherryd

    def inspect(self) -> Any:
        """What the daemon says of it."""
        return self.daemon.get(f"/containers/{self.id}/json").json

    def until(self, holds: Callable[[Any], bool]) -> Any:
        """What the daemon says of it as soon as that holds."""
        deadline = time.monotonic() + 30
        while not holds(shown := self.inspect()):
            assert time.monotonic() < deadline, shown["State"]
            time.sleep(0.02)
        return shown

    def update(self, **asked: Any) -> None:
        """Change its resources."""
        answer = self.daemon.call("POST", f"/containers/{self.id}/update", asked)
        assert answer.status == 200, answer.body

    def shell(self, script: str) -> str:
        """What a script in it prints."""
        return self.daemon.docker("exec", self.id, "sh", "-c", script).stdout


Run = Callable[..., Box]


@pytest.fixture
def run(wherryd: Wherryd) -> Iterator[Run]:
    """Run a container: run({"Memory": …}, Cmd=[…], version="1.43"); it is removed after the test."""
    made: list[str] = []

    def run(host: dict[str, Any] | None = None, *, version: str = "1.55", **config: Any) -> Box:
        identifier = create(wherryd, host or {}, version, **config)
        made.append(identifier)
        answer = wherryd.call("POST", f"/containers/{identifier}/start")
        assert answer.status == 204, answer.body
        pid = wherryd.get(f"/containers/{identifier}/json").json["State"]["Pid"]
        await_command(pid)
        return Box(identifier, pid, wherryd)

    yield run
    for identifier in reversed(made):
        wherryd.call("DELETE", f"/containers/{identifier}?force=1&v=1")


def await_command(pid: int) -> None:
    """Wait until the runtime has become the container's command, or that is over already."""
    deadline = time.monotonic() + 20
    while (name := kernel.name(pid)).startswith("runc:"):
        assert time.monotonic() < deadline, name
        time.sleep(0.005)


def words(pid: int, entry: str) -> list[str]:
    """A list of the kernel's that is separated by zeros. It is empty for the moment in which a program takes over."""
    path = Path(f"/proc/{pid}/{entry}")
    eventually(path.read_bytes)
    return path.read_bytes().decode().split("\0")[:-1]


def create(wherryd: Wherryd, host: dict[str, Any], version: str = "1.55", **config: Any) -> str:
    """Make a container without a network; its ID."""
    body = {
        "Image": "busybox",
        "Cmd": list(SLEEP),
        "HostConfig": {"NetworkMode": "none", **host},
        **config,
    }
    answer = wherryd.call("POST", f"/v{version}/containers/create", body)
    assert answer.status == 201, answer.body
    return str(answer.json["Id"])


def require_refused(wherryd: Wherryd, *cases: tuple[dict[str, Any], str]) -> None:
    """Fail unless each of these is refused as a client's fault, by a message that has the text."""
    for host, text in cases:
        status, told = refused(wherryd, host)
        assert (status, text in told) == (400, True), (host, status, told)


def refused(wherryd: Wherryd, host: dict[str, Any], **config: Any) -> tuple[int, str]:
    """The status and text by which a container is refused, at its creation or at its start."""
    body = {"Image": "busybox", "Cmd": list(SLEEP), "HostConfig": {"NetworkMode": "none", **host}, **config}
    answer = wherryd.call("POST", "/containers/create", body)
    if answer.status == 201:
        identifier = answer.json["Id"]
        answer = wherryd.call("POST", f"/containers/{identifier}/start")
        wherryd.call("DELETE", f"/containers/{identifier}?force=1")
    assert answer.status >= 400
    return answer.status, answer.json["message"]
