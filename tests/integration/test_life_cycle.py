"""create, start, stop, kill, restart, pause, rename, wait, rm, top, port, events."""

import json
import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Wherryd
from tests.unix_http import UnixConnection
from tests.waiting import eventually

pytestmark = pytest.mark.root


@pytest.fixture
def sleeper(wherryd: Wherryd) -> Iterator[str]:
    """A running container; removed after the test if it is still there."""
    identifier = wherryd.docker("run", "-d", "--name", "sleeper", "busybox", "sleep", "1000").stdout.strip()
    yield identifier
    wherryd.docker("rm", "-f", identifier, check=False)


def test_a_whole_life(wherryd: Wherryd) -> None:
    identifier = wherryd.docker("create", "--name", "whole", "busybox", "sleep", "1000").stdout.strip()
    assert wherryd.state("whole")["Status"] == "created"
    assert wherryd.docker("start", "whole").stdout == "whole\n"
    running = wherryd.state("whole")
    assert (running["Status"], running["Running"]) == ("running", True)
    assert running["Pid"] > 0
    assert wherryd.call("POST", "/containers/whole/start").status == 304
    assert wherryd.docker("kill", "whole").stdout == "whole\n"
    assert wherryd.docker("wait", "whole").stdout == "137\n"
    assert wherryd.call("POST", "/containers/whole/stop").status == 304
    ended = wherryd.state("whole")
    assert (ended["Status"], ended["ExitCode"], ended["Pid"]) == ("exited", 137, 0)
    assert wherryd.docker("start", "whole").stdout == "whole\n"
    assert wherryd.docker("rm", "-f", "whole").stdout == "whole\n"
    assert wherryd.get(f"/containers/{identifier}/json").status == 404


def ready(wherryd: Wherryd, name: str) -> None:
    """Wait until a container's script says by a file that it has set its traps."""
    eventually(lambda: not wherryd.docker("exec", name, "test", "-e", "/ready", check=False).returncode)


def test_stop_uses_the_stop_signal_and_patience(wherryd: Wherryd) -> None:
    script = "trap 'exit 7' USR1; touch /ready; while :; do sleep 0.1; done"
    wherryd.docker("run", "-d", "--name", "trap", "--stop-signal", "USR1", "busybox", "sh", "-c", script)
    ready(wherryd, "trap")
    wherryd.docker("stop", "trap")
    assert wherryd.state("trap")["ExitCode"] == 7
    wherryd.docker("rm", "trap")
    wherryd.docker(
        "run",
        "-d",
        "--name",
        "deaf",
        "--stop-timeout",
        "1",
        "busybox",
        "sh",
        "-c",
        "trap '' TERM; touch /ready; sleep 1000",
    )
    ready(wherryd, "deaf")
    wherryd.docker("stop", "deaf")
    assert wherryd.state("deaf")["ExitCode"] == 137
    wherryd.docker("rm", "deaf")


def test_restart(wherryd: Wherryd, sleeper: str) -> None:
    before = wherryd.state(sleeper)
    wherryd.docker("restart", "-t", "0", sleeper)
    after = wherryd.state(sleeper)
    assert after["Running"]
    assert after["Pid"] != before["Pid"]
    assert after["StartedAt"] > before["StartedAt"]


def test_pause(wherryd: Wherryd, sleeper: str) -> None:
    wherryd.docker("pause", sleeper)
    assert wherryd.state(sleeper)["Status"] == "paused"
    done = wherryd.docker("exec", sleeper, "true", check=False)
    assert "Container sleeper is paused, unpause the container before exec" in done.stderr
    wherryd.docker("unpause", sleeper)
    assert wherryd.state(sleeper)["Status"] == "running"
    wherryd.docker("pause", sleeper)
    wherryd.docker("kill", sleeper)
    assert wherryd.docker("wait", sleeper).stdout == "137\n"


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_a_paused_container_can_be_ended_at_once(wherryd: Wherryd, sleeper: str, verb: str) -> None:
    for _ in range(3):
        wherryd.docker("pause", sleeper)
        wherryd.docker(verb, "-t", "0", sleeper)
        assert wherryd.state(sleeper)["Running"] is (verb == "restart")
        wherryd.docker("start", sleeper)


def test_a_paused_container_can_be_removed_by_force(wherryd: Wherryd, sleeper: str) -> None:
    wherryd.docker("pause", sleeper)
    wherryd.docker("rm", "-f", sleeper)


def test_rename(wherryd: Wherryd, sleeper: str) -> None:
    wherryd.docker("rename", "sleeper", "other")
    assert wherryd.state("other")["Running"]
    assert wherryd.get("/containers/sleeper/json").status == 404
    done = wherryd.docker("rename", "other", "other", check=False)
    assert "Renaming a container with the same name as its current name" in done.stderr


def test_a_running_container_is_not_removed(wherryd: Wherryd, sleeper: str) -> None:
    done = wherryd.docker("rm", sleeper, check=False)
    assert done.returncode == 1
    assert (
        'cannot remove container "/sleeper": container is running: '
        "stop the container before removing or force remove" in done.stderr
    )


def test_top(wherryd: Wherryd, sleeper: str) -> None:
    eventually(lambda: "sleep 1000" in wherryd.docker("top", sleeper).stdout)  # the runtime has become it
    assert wherryd.docker("top", sleeper, "-o", "pid,args").stdout.split()[:2] == ["PID", "COMMAND"]


def test_top_of_another_user_and_terminal(wherryd: Wherryd) -> None:
    """Of itself ps would show what its own user has without a terminal."""
    wherryd.docker("run", "-dt", "--name", "other", "--user", "1000", "busybox", "sleep", "1000")
    eventually(lambda: "sleep" in wherryd.docker("top", "other").stdout)
    for arguments in (["-o", "pid,args"], ["-f"], ["u"], ["-T"], ["m"]):
        assert "sleep" in wherryd.docker("top", "other", *arguments).stdout, arguments
    wherryd.docker("rm", "-f", "other")


@pytest.mark.parametrize("condition", ["not-running", "next-exit", "removed"])
def test_wait_conditions(wherryd: Wherryd, condition: str) -> None:
    wherryd.docker(
        "run",
        "-d",
        "--name",
        "waited",
        *(["--rm"] if condition == "removed" else []),
        "busybox",
        "sleep",
        "1000",
    )
    waiting = UnixConnection(wherryd.socket, 20)
    waiting.request("POST", f"/containers/waited/wait?condition={condition}")
    answer = waiting.getresponse()  # the head: it waits
    assert not select.select([waiting.sock], [], [], 0.3)[0]
    wherryd.docker("kill", "-s", "KILL", "waited")
    assert json.loads(answer.read())["StatusCode"] == 137
    waiting.close()
    wherryd.docker("rm", "-f", "waited", check=False)


def test_wait_for_what_does_not_run_returns_at_once(wherryd: Wherryd) -> None:
    wherryd.docker("create", "--name", "never", "busybox")
    assert wherryd.call("POST", "/containers/never/wait").json["StatusCode"] == 0
    wherryd.docker("rm", "never")
    assert wherryd.call("POST", "/containers/never/wait").status == 404


def test_a_bad_wait_condition(wherryd: Wherryd, sleeper: str) -> None:
    answer = wherryd.call("POST", f"/containers/{sleeper}/wait?condition=frob")
    assert (answer.status, answer.json["message"]) == (400, 'invalid condition: "frob"')


def test_restart_policies(wherryd: Wherryd) -> None:
    wherryd.docker(
        "run", "-d", "--name", "again", "--restart", "on-failure:2", "busybox", "sh", "-c", "exit 3"
    )
    eventually(lambda: wherryd.state("again")["Status"] == "exited")
    time.sleep(0.5)
    assert wherryd.get("/containers/again/json").json["RestartCount"] == 2
    assert wherryd.state("again")["Status"] == "exited"
    wherryd.docker("rm", "again")


def test_what_waits_to_start_again_has_been_counted(wherryd: Wherryd, tmp_path: Path) -> None:
    runs, script = tmp_path / "runs", "echo x >> /data/runs; false"
    options = ("--restart", "on-failure:9", "-v", f"{tmp_path}:/data")
    wherryd.docker("run", "-d", "--name", "again", *options, "busybox", "sh", "-c", script)

    def looked() -> bool:
        """Where it waits for a start that did not come while we looked: each wait is twice as long."""
        before = runs.read_text() if runs.exists() else ""
        shown = wherryd.get("/containers/again/json").json
        if not shown["State"]["Restarting"] or runs.read_text() != before:
            return False
        assert shown["RestartCount"] == before.count("x")
        return True

    try:
        eventually(looked)
    finally:
        wherryd.docker("rm", "-f", "again")


def test_a_restarting_container_can_be_stopped_and_removed(wherryd: Wherryd) -> None:
    wherryd.docker("run", "-d", "--name", "loop", "--restart", "always", "busybox", "false")
    time.sleep(1)
    wherryd.docker("stop", "loop")
    assert wherryd.state("loop")["Status"] == "exited"
    wherryd.docker("rm", "loop")
    wherryd.docker("run", "-d", "--name", "loop", "--restart", "always", "busybox", "false")
    time.sleep(1)
    wherryd.docker("rm", "-f", "loop")


def events(wherryd: Wherryd, *args: str) -> list[dict[str, Any]]:
    out = wherryd.docker(
        "events", "--format", "{{json .}}", "--until", str(int(time.time()) + 1), *args
    ).stdout
    return [json.loads(line) for line in out.splitlines()]


def test_events_of_a_life(wherryd: Wherryd) -> None:
    since = str(time.time())
    wherryd.docker("run", "--name", "told", "-l", "a=b", "busybox", "sh", "-c", "exit 3", check=False)
    wherryd.docker("start", "told")
    wherryd.docker("rm", "-f", "told")
    told = events(wherryd, "--since", since, "--filter", "container=told")
    assert [each["Action"] for each in told][:4] == ["create", "attach", "start", "die"]
    assert [each["Action"] for each in told][-1] == "destroy"
    died = told[3]["Actor"]["Attributes"]
    assert died["exitCode"] == "3"
    assert died["execDuration"].isdecimal()
    assert (died["image"], died["name"], died["a"]) == ("busybox", "told", "b")
    assert events(wherryd, "--since", since, "--filter", "event=die", "--filter", "label=a=c") == []


def test_ps(wherryd: Wherryd, sleeper: str) -> None:
    wherryd.docker("create", "--name", "idle", "-l", "x=y", "busybox")
    assert wherryd.docker("ps", "--format", "{{.Names}}").stdout == "sleeper\n"
    assert wherryd.docker("ps", "-a", "--format", "{{.Names}}").stdout == "idle\nsleeper\n"
    assert wherryd.docker("ps", "-aq", "--no-trunc", "--filter", "name=sleep").stdout.strip() == sleeper
    assert (
        wherryd.docker("ps", "-a", "--filter", "label=x=y", "--format", "{{.Status}}").stdout == "Created\n"
    )
    assert wherryd.docker("ps", "--filter", "ancestor=busybox", "--format", "{{.Status}}").stdout.startswith(
        "Up "
    )
    wherryd.docker("exec", sleeper, "dd", "if=/dev/zero", "of=/big", "bs=1k", "count=2000")
    assert "2.05MB" in wherryd.docker("ps", "-s", "--format", "{{.Size}}").stdout
    done = wherryd.docker("ps", "--filter", "frob=1", check=False)
    assert "invalid filter 'frob'" in done.stderr
    wherryd.docker("rm", "idle")


def test_concurrent_starts_and_stops_of_one_container(wherryd: Wherryd) -> None:
    wherryd.docker("create", "--name", "contested", "busybox", "sleep", "1000")
    statuses: list[int] = []

    def post(path: str) -> None:
        statuses.append(wherryd.call("POST", path).status)

    threads = [
        threading.Thread(target=post, args=(f"/containers/contested/{verb}?t=0",))
        for verb in ("start", "stop") * 6
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(statuses) <= {204, 304}
    assert len(statuses) == 12
    wherryd.docker("rm", "-f", "contested")
