"""Fields of Config, as the first process of a container and its kernel have them."""

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests import kernel
from tests.daemon import Wherryd
from tests.integration.host_config.conftest import Run, create, words

pytestmark = pytest.mark.root


def test_command_environment_and_directory(run: Run) -> None:
    box = run(
        {}, Entrypoint=["sleep"], Cmd=["1000", "1"], Env=["A=1", "B=x y", "HOSTNAME", "EMPTY="], WorkingDir="/made/here"
    )  # fmt: skip
    assert words(box.pid, "cmdline") == ["sleep", "1000", "1"]
    environment = words(box.pid, "environ")
    assert {"A=1", "B=x y", "EMPTY="} <= set(environment)
    assert not [entry for entry in environment if entry.startswith("HOSTNAME")]  # a name alone takes it away
    assert os.readlink(f"/proc/{box.pid}/cwd") == "/made/here"


def test_a_command_of_one_text(run: Run) -> None:
    box = run({}, Entrypoint="sleep", Cmd=["1000"], ArgsEscaped=True)
    assert words(box.pid, "cmdline") == ["sleep", "1000"]
    shown = box.inspect()["Config"]
    assert (shown["Entrypoint"], shown["ArgsEscaped"]) == (["sleep"], True)


def test_what_only_builds_look_at_is_kept(run: Run) -> None:
    asked = {"OnBuild": ["RUN x"], "Shell": ["/bin/ash", "-c"], "Labels": {"a": "b", "c": ""}}
    shown = run({}, **asked).inspect()["Config"]
    assert {name: shown[name] for name in asked} == asked


def test_a_terminal(run: Run) -> None:
    box = run({"ConsoleSize": [33, 44]}, Tty=True, OpenStdin=True)
    assert os.readlink(f"/proc/{box.pid}/fd/0") == "/dev/pts/0"
    assert box.shell("stty size < /dev/pts/0") == "33 44\n"
    assert "TERM=xterm" in words(box.pid, "environ")
    assert not os.readlink(f"/proc/{run({}).pid}/fd/0").startswith("/dev/pts")


@pytest.mark.parametrize("once", [True, False])
def test_standard_input(run: Run, wherryd: Wherryd, once: bool) -> None:
    """It is open, and is closed with the first client where that is asked."""
    box = run({}, Cmd=["sh", "-c", "cat; exec sleep 1000"], OpenStdin=True, StdinOnce=once, AttachStdin=True)
    assert os.readlink(f"/proc/{box.pid}/fd/0").startswith("pipe:")
    head = f"POST /containers/{box.id}/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: x\r\n"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(wherryd.socket))
        client.sendall(f"{head}Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 101")
    deadline = time.monotonic() + (20 if once else 0.5)
    while kernel.name(box.pid) != "sleep" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (kernel.name(box.pid) == "sleep") == once


def test_no_standard_input(run: Run) -> None:
    assert os.readlink(f"/proc/{run({}).pid}/fd/0") == "/dev/null"


def test_no_network(run: Run, wherryd: Wherryd) -> None:
    box = run({"NetworkMode": "bridge"}, NetworkDisabled=True)
    assert not kernel.of_host(box.pid, "net")
    assert box.shell("ls /sys/class/net").split() == ["lo"]


def test_patience_at_the_stop(run: Run, wherryd: Wherryd) -> None:
    """The signal to stop by is ignored: it is killed after as many seconds as it asked for, not the usual ten."""
    script = "trap '' TERM; touch /ready; while :; do sleep 0.05; done"
    box = run({}, Cmd=["sh", "-c", script], StopTimeout=1)
    box.shell("until test -e /ready; do sleep 0.02; done")
    before = time.monotonic()
    assert wherryd.call("POST", f"/containers/{box.id}/stop").status == 204
    assert 1 <= time.monotonic() - before < 10
    assert box.inspect()["State"]["ExitCode"] == 137


def test_ports_that_are_exposed(run: Run) -> None:
    """They tell of nothing but themselves, until all of them are published."""
    exposed: dict[str, Any] = {"80/tcp": {}, "53/udp": {}}
    box = run({"NetworkMode": "bridge", "PublishAllPorts": True}, ExposedPorts=exposed)
    ports = box.inspect()["NetworkSettings"]["Ports"]
    assert {port: bool(places) for port, places in ports.items()} == {"80/tcp": True, "53/udp": True}
    quiet = run({"NetworkMode": "bridge"}, ExposedPorts=exposed)
    assert quiet.inspect()["NetworkSettings"]["Ports"] == {"80/tcp": None, "53/udp": None}


def test_volumes_of_the_config(run: Run) -> None:
    box = run({}, Volumes={"/data": {}})
    assert "/data" in kernel.mounts(box.pid)
    assert box.inspect()["Mounts"][0]["Type"] == "volume"


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"Isolation": "hyperv"}, "Invalid isolation: \"hyperv\" - linux only supports 'default'"),
        ({"IOMaximumIOps": 5}, "linux does not support configuration of maximum IOPs"),
        ({"IOMaximumBandwidth": 5}, "linux does not support configuration of maximum bandwidth"),
    ],
)
def test_what_only_windows_has_is_refused(wherryd: Wherryd, asked: dict[str, Any], text: str) -> None:
    answer = wherryd.call("POST", "/containers/create", {"Image": "busybox", "HostConfig": asked})
    assert (answer.status, text in answer.json["message"]) == (400, True)


def test_what_docker_takes_note_of_alone(wherryd: Wherryd, tmp_path: Path) -> None:
    """A client writes the file itself; CpuPercent is dropped with a warning."""
    asked = {
        "CpuCount": 5, "CpuPercent": 7, "Isolation": "default", "Cgroup": "container:x",
        "ContainerIDFile": str(tmp_path / "cid"),
    }  # fmt: skip
    identifier = create(wherryd, asked)
    shown = wherryd.get(f"/containers/{identifier}/json").json["HostConfig"]
    assert {name: shown[name] for name in asked} == {**asked, "CpuPercent": 0}
    body = {"Image": "busybox", "HostConfig": asked}
    warned = wherryd.call("POST", "/containers/create", body).json
    assert warned["Warnings"] == ["linux does not support CPU percent. Percent discarded."]
    for each in (identifier, warned["Id"]):
        assert wherryd.call("POST", f"/containers/{each}/start").status == 204
        wherryd.call("DELETE", f"/containers/{each}?force=1")
    assert not (tmp_path / "cid").exists()
