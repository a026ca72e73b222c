"""docker compose, for as long as its services use the networks that are always there."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.waiting import eventually

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("docker-compose") is None, reason="needs docker compose"),
]

FILE = """
services:
  web:
    image: busybox
    network_mode: bridge
    command: ["sh", "-c", "echo serving; sleep 1000"]
    ports: ["127.0.0.1::80"]
    environment: {A: b}
    volumes: ["./data:/data"]
    tmpfs: [/scratch]
    ulimits: {nofile: 100}
    init: true
    restart: unless-stopped
    stop_grace_period: 1s
  beside:
    image: busybox
    network_mode: "service:web"
    command: ["sh", "-c", "hostname; sleep 1000"]
    init: true
  alone:
    image: busybox
    network_mode: none
    command: sleep 1000
    init: true
  onhost:
    image: busybox
    network_mode: host
    command: sleep 1000
    init: true
"""
VOLUMES = """
services:
  db:
    image: busybox
    network_mode: none
    command: sleep 1000
    volumes: ["data:/data", "/scratch"]
    init: true
volumes:
  data: {labels: {kept: "yes"}}
"""
HEALTH = """
services:
  db:
    image: busybox
    network_mode: none
    command: sh -c "sleep 1; touch /up; sleep 1000"
    init: true
    healthcheck: {test: "[ -e /up ]", interval: 200ms, start_period: 20s, start_interval: 200ms}
  web:
    image: busybox
    network_mode: none
    command: sleep 1000
    init: true
    depends_on: {db: {condition: service_healthy}}
  ill:
    image: busybox
    network_mode: none
    command: sleep 1000
    init: true
    healthcheck: {test: ["CMD", "false"], interval: 100ms, retries: 1}
    profiles: [ill]
"""
TRAPPING = """
services:
  a:
    image: busybox
    network_mode: none
    command: ["sh", "-c", "trap 'exit 0' TERM; echo trapping; while :; do sleep 0.05; done"]
"""
Compose = Callable[..., "subprocess.CompletedProcess[str]"]


def command(project: Path) -> list[str]:
    """Compose on the file in a directory, as project "made"."""
    named = ["--project-name", "made", "--project-directory", str(project)]
    return ["docker", "compose", *named, "--file", str(project / "compose.yaml")]


@pytest.fixture
def compose(wherryd: Wherryd, tmp_path: Path) -> Iterator[Compose]:
    """Run compose on the file in tmp_path; what it made is taken down after the test."""

    def run(*args: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        argv = [*command(tmp_path), *args]
        done = subprocess.run(argv, env=wherryd.client_env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done

    yield run
    run("down", "--timeout", "0")


def test_services_on_the_networks_that_are_always_there(
    wherryd: Wherryd, compose: Compose, tmp_path: Path
) -> None:
    (tmp_path / "compose.yaml").write_text(FILE)
    compose("up", "--detach")
    running = compose("ps", "--services", "--status", "running").stdout.split()
    assert sorted(running) == ["alone", "beside", "onhost", "web"]
    eventually(lambda: "serving" in compose("logs", "web").stdout)
    assert compose(
        "exec", "-T", "web", "sh", "-c", "echo $A; ulimit -n; ls -d /data /scratch"
    ).stdout.split() == [
        *("b", "100", "/data", "/scratch"),
    ]
    name = compose("exec", "-T", "web", "hostname").stdout
    assert compose("exec", "-T", "beside", "hostname").stdout == name
    assert compose("port", "web", "80").stdout.startswith("127.0.0.1:")
    assert compose("run", "--rm", "-T", "onhost", "echo", "once").stdout == "once\n"
    assert "sleep 1000" in compose("top", "alone").stdout
    compose("restart", "--timeout", "0", "alone")
    compose("pause", "alone")
    compose("unpause", "alone")
    compose("kill", "alone")
    compose("stop", "--timeout", "0")
    assert compose("ps", "--services", "--status", "running").stdout.split() == []
    compose("up", "--detach")
    assert sorted(compose("ps", "--services").stdout.split()) == ["alone", "beside", "onhost", "web"]
    compose("down", "--timeout", "0")
    assert wherryd.docker("ps", "-aq").stdout == ""


def test_volumes_of_a_project(wherryd: Wherryd, compose: Compose, tmp_path: Path) -> None:
    """They outlive the project's containers, and go with `down --volumes` alone."""
    (tmp_path / "compose.yaml").write_text(VOLUMES)
    for rows in ("1", "2"):
        compose("up", "--detach")
        written = compose("exec", "-T", "db", "sh", "-c", "echo row >> /data/table; wc -l < /data/table")
        assert written.stdout == f"{rows}\n"
        compose("down", "--timeout", "0")
        assert wherryd.docker("volume", "ls", "-q", "-f", "label=kept=yes").stdout == "made_data\n"
    compose("up", "--detach")
    compose("up", "--detach", "--force-recreate", "--timeout", "0")
    compose("down", "--timeout", "0", "--volumes")
    assert wherryd.docker("volume", "ls", "-q", "-f", "label=kept").stdout == ""
    wherryd.docker("volume", "prune", "-af")  # compose leaves what has no name


def test_services_that_wait_for_a_healthy_one(wherryd: Wherryd, compose: Compose, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(HEALTH)
    began = time.time()
    compose("up", "--detach")
    told = wherryd.get(f"/events?since={began:.6f}&until={time.time():.6f}").body.splitlines()
    said = [(event["Actor"]["Attributes"].get("name"), event["Action"]) for event in map(json.loads, told)]
    assert said.index(("made-db-1", "health_status: healthy")) < said.index(("made-web-1", "start"))
    assert "unhealthy" in compose("--profile", "ill", "up", "--detach", "--wait", check=False).stderr
    compose("--profile", "ill", "down", "--timeout", "0")


def test_ctrl_c(wherryd: Wherryd, compose: Compose, tmp_path: Path) -> None:
    """It stops what it started, and panics if it hears of the end before its stop is answered: two times in five."""
    (tmp_path / "compose.yaml").write_text(TRAPPING)
    compose("create")  # the fixture's end has something to take down
    for _ in range(6):
        with subprocess.Popen(
            [*command(tmp_path), "up"],
            env=wherryd.client_env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as up:
            assert up.stdout is not None
            said: list[str] = []
            while not said or "| trapping" not in said[-1]:
                said.append(up.stdout.readline())
                assert said[-1], said
            up.send_signal(signal.SIGINT)
            rest, _ = up.communicate(timeout=30)
            assert up.returncode == 130, "".join(said) + rest
