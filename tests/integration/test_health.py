"""Health checks by Docker's own clients: status, log, events, filters, and what ends or halts the probing."""

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests import processes
from tests.daemon import Wherryd
from tests.waiting import eventually

pytestmark = pytest.mark.root
Run = Callable[..., str]
FAST = ("--health-interval", "100ms", "--health-timeout", "5s")


@pytest.fixture
def run(wherryd: Wherryd) -> Iterator[Run]:
    """Run a container with a health check; it is removed after the test."""
    made = []

    def start(check: str, *flags: str, command: tuple[str, ...] = ("sleep", "1000")) -> str:
        container = wherryd.docker(
            "run", "-d", *FAST, "--health-cmd", check, *flags, "busybox", *command
        ).stdout.strip()
        made.append(container)
        return container

    yield start
    for container in made:
        wherryd.docker("rm", "-f", "-v", container, check=False)


def health(wherryd: Wherryd, container: str) -> dict[str, Any]:
    found: dict[str, Any] = wherryd.get(f"/containers/{container}/json").json["State"]["Health"]
    return found


def becomes(wherryd: Wherryd, container: str, status: str) -> None:
    eventually(lambda: health(wherryd, container)["Status"] == status)


def test_from_starting_to_healthy_to_unhealthy_and_back(wherryd: Wherryd, run: Run, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("1")
    check = "cat /state/state; exit $(cat /state/state)"
    container = run(check, "-v", f"{tmp_path}:/state", "--health-start-period", "60s", "--name", "hc")
    assert health(wherryd, container) == {"Status": "starting", "FailingStreak": 0, "Log": []}
    eventually(lambda: wherryd.docker("ps", "-q", "--filter", "health=starting").stdout)
    assert "(health: starting)" in wherryd.docker("ps").stdout
    (tmp_path / "state").write_text("0")
    becomes(wherryd, container, "healthy")
    assert "(healthy)" in wherryd.docker("ps", "--filter", "health=healthy").stdout
    summary = wherryd.get("/v1.52/containers/json").json[0]
    assert summary["Health"] == {"Status": "healthy", "FailingStreak": 0}
    assert "Health" not in wherryd.get("/v1.51/containers/json").json[0]
    (tmp_path / "state").write_text("7")
    becomes(wherryd, container, "unhealthy")
    assert "(unhealthy)" in wherryd.docker("ps", "--filter", "health=unhealthy").stdout
    assert not wherryd.docker("ps", "-q", "--filter", "health=healthy").stdout
    now = health(wherryd, container)
    assert now["FailingStreak"] >= 3
    assert {entry["ExitCode"] for entry in now["Log"][-3:]} == {7}
    assert now["Log"][-1]["Output"] == "7"
    (tmp_path / "state").write_text("0")
    becomes(wherryd, container, "healthy")
    eventually(lambda: len(health(wherryd, container)["Log"]) == 5)


def test_events(wherryd: Wherryd, run: Run) -> None:
    listener = subprocess.Popen(
        ["docker", "events", "--filter", "type=container", "--format", "{{json .}}"],
        env=wherryd.client_env,
        stdout=subprocess.PIPE,
        text=True,
    )
    eventually(lambda: wherryd.get("/info").json["NEventsListener"] >= 1)
    container = run("true", "--name", "told", "--label", "a=b")
    becomes(wherryd, container, "healthy")
    wherryd.docker("kill", container)
    assert listener.stdout is not None
    events = [json.loads(line) for line in up_to(listener.stdout, '"die"')]
    listener.terminate()
    listener.communicate()
    said = [event["Action"] for event in events]
    first = said.index("start") + 1
    assert said[first : first + 4] == [
        "exec_create: /bin/sh -c true", "exec_start: /bin/sh -c true", "exec_die", "health_status: healthy",
    ]  # fmt: skip
    create, start, die, status = (event["Actor"]["Attributes"] for event in events[first : first + 4])
    own = {"image": "busybox", "name": "told", "a": "b"}
    assert status == own
    assert create == start == {**own, "execID": create["execID"]}
    assert die == {**own, "execID": create["execID"], "exitCode": "0"}
    kept = wherryd.get(f"/events?since=1&until={time.time():.3f}").body.decode()
    assert "health_status: healthy" in kept
    assert create["execID"] not in kept  # probes are told of, and not kept


def up_to(lines: Iterable[str], last: str) -> Iterator[str]:
    """Lines up to one with a text."""
    for line in lines:
        yield line
        if last in line:
            return


def test_a_probe_that_takes_long_is_killed_with_all_that_it_started(wherryd: Wherryd, run: Run) -> None:
    check = "echo begun; sleep 4321 & (sleep 4321 &) ; sleep 4321"
    container = run(check, "--health-timeout", "2s", "--health-retries", "1")
    becomes(wherryd, container, "unhealthy")
    entry = health(wherryd, container)["Log"][0]
    assert (entry["ExitCode"], entry["Output"]) == (-1, "Health check exceeded timeout (2s): begun\n")
    eventually(lambda: "4321" not in wherryd.docker("top", container).stdout)


def test_probes_that_cannot_run(wherryd: Wherryd, run: Run) -> None:
    container = run("", "--health-retries", "1")
    api = docker.DockerClient(base_url=f"unix://{wherryd.socket}")
    missing = api.containers.run(
        "busybox",
        "sleep 100",
        detach=True,
        healthcheck={"test": ["CMD", "/not/there"], "interval": 100_000_000},
    )
    empty = api.containers.run(
        "busybox", "sleep 100", detach=True, healthcheck={"test": ["CMD"], "interval": 100_000_000}
    )
    try:
        for each, text in ((missing, "no such file or directory"), (empty, "has no command")):
            becomes(wherryd, each.id, "unhealthy")
            entry = health(wherryd, each.id)["Log"][-1]
            assert entry["ExitCode"] == -1
            assert text in entry["Output"]
    finally:
        for each in (missing, empty):
            each.remove(force=True)
        api.close()
    assert "Health" not in wherryd.get(f"/containers/{container}/json").json["State"]


def test_pause_halts_and_an_end_halts(wherryd: Wherryd, run: Run, tmp_path: Path) -> None:
    """What is not probed counts as unhealthy, unsaid; a new run begins as starting, with the old log. As in Docker."""
    container = run("date +%N >>/state/runs", "-v", f"{tmp_path}:/state")
    becomes(wherryd, container, "healthy")
    wherryd.docker("pause", container)
    assert health(wherryd, container)["Status"] == "unhealthy"
    runs = (tmp_path / "runs").read_text()
    time.sleep(0.5)
    assert (tmp_path / "runs").read_text() == runs
    wherryd.docker("unpause", container)
    becomes(wherryd, container, "healthy")
    wherryd.docker("stop", "-t", "0", container)
    ended = health(wherryd, container)
    assert ended["Status"] == "unhealthy"
    assert wherryd.call("POST", f"/containers/{container}/start").status == 204
    begun = health(wherryd, container)
    assert begun["FailingStreak"] == 0
    assert set(map(str, ended["Log"])) & set(map(str, begun["Log"]))
    becomes(wherryd, container, "healthy")


def test_an_image_gives_its_check_field_by_field(wherryd: Wherryd, run: Run) -> None:
    run_id = wherryd.docker("create", "busybox").stdout.strip()
    change = "HEALTHCHECK --interval=100ms --timeout=7s --retries=9 CMD echo of-image"
    wherryd.docker("commit", "--change", change, run_id, "checked")
    own = wherryd.docker("run", "-d", "checked", "sleep", "100").stdout.strip()
    mixed = wherryd.docker("run", "-d", "--health-timeout", "3s", "checked", "sleep", "100").stdout.strip()
    none = wherryd.docker("run", "-d", "--no-healthcheck", "checked", "sleep", "100").stdout.strip()
    try:
        becomes(wherryd, own, "healthy")
        assert health(wherryd, own)["Log"][0]["Output"] == "of-image\n"
        asked = wherryd.get(f"/containers/{mixed}/json").json["Config"]["Healthcheck"]
        assert asked == {
            "Test": ["CMD-SHELL", "echo of-image"], "Interval": 10**8, "Timeout": 3 * 10**9, "Retries": 9,
        }  # fmt: skip
        assert "Health" not in wherryd.get(f"/containers/{none}/json").json["State"]
        assert none[:12] in wherryd.docker("ps", "--filter", "health=none").stdout
    finally:
        wherryd.docker("rm", "-f", run_id, own, mixed, none)
        wherryd.docker("rmi", "checked")


def test_a_large_output_is_cut(wherryd: Wherryd, run: Run) -> None:
    container = run("yes 123456789 | head -c 1000000; printf x")
    becomes(wherryd, container, "healthy")
    output = health(wherryd, container)["Log"][0]["Output"]
    assert output == ("123456789\n" * 410)[:4096] + "..."


def test_restart_when_unhealthy(wherryd: Wherryd, run: Run, tmp_path: Path) -> None:
    """By the label of the create request alone; with kill, die and start as of any restart."""
    (tmp_path / "ill").touch()
    container = run(
        "! [ -e /state/ill ]", "--label", "wherry.on-unhealthy=restart", "--health-retries", "2", "--stop-timeout", "9",
        "-v", f"{tmp_path}:/state", command=("sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done"),
    )  # fmt: skip
    eventually(lambda: wherryd.get(f"/containers/{container}/json").json["RestartCount"] >= 2)
    (tmp_path / "ill").unlink()
    becomes(wherryd, container, "healthy")
    state = wherryd.get(f"/containers/{container}/json").json
    told = wherryd.get(f"/events?since=1&until={time.time():.3f}").body.decode().splitlines()
    own = [event["Action"] for event in map(json.loads, told) if event["Actor"]["ID"] == container]
    from_start = own[own.index("start") :]
    assert from_start[:5] == ["start", "health_status: unhealthy", "kill", "die", "start"]
    assert own.count("start") == state["RestartCount"] + 1
    (tmp_path / "ill").touch()
    becomes(wherryd, container, "unhealthy")
    wherryd.docker("stop", container)
    assert wherryd.get(f"/containers/{container}/json").json["State"]["Status"] == "exited"


def test_an_image_does_not_ask_for_restarts(wherryd: Wherryd, run: Run) -> None:
    made = wherryd.docker("create", "busybox").stdout.strip()
    wherryd.docker("commit", "--change", "LABEL wherry.on-unhealthy=restart", made, "asking")
    flags = [*FAST, "--health-cmd", "false", "--health-retries", "1"]
    container = wherryd.docker("run", "-d", *flags, "asking", "sleep", "100").stdout.strip()
    try:
        eventually(lambda: health(wherryd, container)["FailingStreak"] >= 3)
        assert wherryd.get(f"/containers/{container}/json").json["RestartCount"] == 0
    finally:
        wherryd.docker("rm", "-f", made, container)
        wherryd.docker("rmi", "asking")
    said = wherryd.docker("create", "--label", "wherry.on-unhealthy=pray", "busybox", check=False)
    assert "invalid label wherry.on-unhealthy=pray" in said.stderr


def test_a_daemon_that_is_killed(start_daemon: Callable[..., Wherryd], tmp_path: Path) -> None:
    """Nothing of its probes is left, and the next one goes on where it was."""
    daemon = start_daemon()
    check = "[ -e /state/hang ] && sleep 4242; ! [ -e /state/fail ]"
    container = daemon.docker(
        "run", "-d", "--health-retries", "1", "--health-interval", "200ms", "--health-timeout", "300s",
        "--health-cmd", check, "-v", f"{tmp_path}:/state", "busybox", "sleep", "1000",
    ).stdout.strip()  # fmt: skip
    becomes(daemon, container, "healthy")
    (tmp_path / "hang").touch()
    eventually(lambda: "4242" in daemon.docker("top", container).stdout)
    daemon.kill9()
    shim = int((daemon.exec_root / "containers" / container / "1/shim.pid").read_text())
    eventually(lambda: children(shim) == 1)
    (tmp_path / "hang").unlink()
    daemon.start()
    assert health(daemon, container)["Status"] == "healthy"
    probed = health(daemon, container)["Log"]
    eventually(lambda: health(daemon, container)["Log"][-1:] != probed[-1:])
    assert health(daemon, container)["Log"][-1]["ExitCode"] == 0
    daemon.dies_at("health.recorded")
    (tmp_path / "fail").touch()
    eventually(lambda: not daemon.alive)
    daemon.start()
    assert health(daemon, container)["Status"] == "unhealthy"
    (tmp_path / "fail").unlink()
    becomes(daemon, container, "healthy")


def test_the_order_of_compose_at_boot(start_daemon: Callable[..., Wherryd], tmp_path: Path) -> None:
    """What depends on a healthy one starts after that is healthy; a circle and a missing one hold nobody up."""
    daemon = start_daemon()
    labels = "com.docker.compose"

    def make(name: str, depends: str, *flags: str) -> None:
        named = [f"--label={labels}.{key}={value}" for key, value in (("project", "p"), ("service", name))]
        daemon.docker(
            "run", "-d", "--name", f"p-{name}", *named, f"--label={labels}.depends_on={depends}", *flags,
            "--restart", "always", "--network", "none", "busybox", "sleep", "1000",
        )  # fmt: skip

    make("web", "db:service_healthy:true,gone:service_started:false,side:service_started:true")
    make("side", "web:service_healthy:false")
    check = ["--health-cmd", "[ -e /state/up ]", "--health-interval", "100ms", "--health-retries", "100"]
    make("db", "", *check, "-v", f"{tmp_path}:/state")
    (tmp_path / "up").touch()
    becomes(daemon, "p-db", "healthy")
    (tmp_path / "up").unlink()
    pids = [daemon.get(f"/containers/p-{name}/json").json["State"]["Pid"] for name in ("web", "side", "db")]
    daemon.kill9()
    for pid in pids:
        subprocess.run(["kill", "-9", str(pid)], check=True)
    eventually(lambda: not list((daemon.exec_root / "containers").glob("*/*/sock")))
    daemon.start()
    runs(daemon, "p-db")
    time.sleep(0.5)
    assert status(daemon, "p-web") == "restarting"
    (tmp_path / "up").touch()
    for name in ("p-web", "p-side"):
        runs(daemon, name)


def runs(daemon: Wherryd, name: str) -> None:
    eventually(lambda: status(daemon, name) == "running")


def status(daemon: Wherryd, name: str) -> str:
    return str(daemon.get(f"/containers/{name}/json").json["State"]["Status"])


def children(pid: int) -> int:
    """How many children a process has that live."""
    pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(processes.read(f"/proc/{each}/cmdline") != "" for each in pids)
