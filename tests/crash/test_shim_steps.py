"""Shims and zygotes killed at each of their steps, under the whole daemon: it goes on, one container ends at most."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runtime.shim import faults
from tests.daemon import Wherryd

pytestmark = pytest.mark.root

EXEC = ("shim.exec-launching", "shim.exec-launched")
START = ("shim.born", "shim.bound", "shim.creating", "shim.created", "shim.starting", "shim.started")
END = ("shim.reaped", "shim.drained", "shim.exit-written", "shim.notified", "shim.deleted", "shim.unlinked")
PROBING = "shim.probing"  # tried by test_health_steps
ZYGOTE = ("zygote.received", "zygote.forked")
KNOWN = ("shim.exit-written", "shim.notified", "shim.deleted", "shim.unlinked")
SHIM_DIED = "its shim died, and the container was killed"


@pytest.fixture
def faulty(mortal: Wherryd) -> Iterator[Callable[[str], None]]:
    """Restart the daemon with a zygote in which one step kills; another container is there all the time."""
    mortal.docker("run", "-d", "--name", "witness", "busybox", "sleep", "1000")
    pid = mortal.state("witness")["Pid"]
    yield mortal.dies_at
    daemon = mortal.pid
    assert mortal.state("witness")["Pid"] == pid
    mortal.restart()  # a zygote in which nothing kills
    assert mortal.pid != daemon
    assert mortal.docker("run", "--rm", "busybox", "echo", "fine").stdout == "fine\n"
    assert mortal.state("witness")["Pid"] == pid
    mortal.docker("rm", "-f", "witness")


def ended(mortal: Wherryd, name: str) -> dict[str, Any]:
    deadline = time.monotonic() + 20
    while mortal.state(name)["Status"] not in ("exited", "created"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return mortal.state(name)


@pytest.mark.parametrize("step", START)
def test_start(mortal: Wherryd, faulty: Callable[[str], None], step: str) -> None:
    faulty(step)
    pid = mortal.pid
    mortal.docker("create", "--name", "cc", "-p", "18111:80", "busybox", "sleep", "1000")
    done = mortal.docker("start", "cc", check=False)
    assert mortal.pid == pid
    if done.returncode:
        assert "its shim died" in done.stderr
        found = mortal.state("cc")
        assert found["Status"] == "created"
        assert "its shim died" in found["Error"]
    else:
        found = ended(mortal, "cc")
        assert (found["ExitCode"], found["Error"]) == (137, SHIM_DIED), "the step was never hit"
    mortal.docker("rm", "-f", "cc")


@pytest.mark.parametrize("step", END)
def test_end(mortal: Wherryd, faulty: Callable[[str], None], step: str) -> None:
    faulty(step)
    mortal.docker(
        "run", "-d", "--name", "cc", "-p", "18111:80", "busybox", "sh", "-c", "echo out; sleep 0.3; exit 7"
    )
    found = ended(mortal, "cc")
    expected = (7, "") if step in KNOWN else (137, SHIM_DIED)
    assert (found["ExitCode"], found["Error"]) == expected
    assert mortal.docker("logs", "cc").stdout == "out\n"
    mortal.docker("rm", "cc")


def test_restart_policy_after_a_dead_shim(mortal: Wherryd, faulty: Callable[[str], None]) -> None:
    """Every shim dies at the end of its container: each time the policy starts it again."""
    faulty("shim.reaped")
    mortal.docker("run", "-d", "--name", "cc", "--restart", "on-failure:2", "busybox", "sleep", "0.3")
    deadline = time.monotonic() + 20
    while mortal.get("/containers/cc/json").json["RestartCount"] < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert ended(mortal, "cc")["ExitCode"] == 137
    mortal.docker("rm", "-f", "cc")


@pytest.mark.parametrize("step", EXEC)
def test_exec(mortal: Wherryd, faulty: Callable[[str], None], step: str) -> None:
    faulty(step)
    mortal.docker("run", "-d", "--name", "cc", "busybox", "sleep", "1000")
    since = time.time()
    done = mortal.docker("exec", "cc", "echo", "in", check=False)
    assert done.returncode != 0 or done.stdout == "in\n"
    found = ended(mortal, "cc")
    assert (found["ExitCode"], found["Error"]) == (137, SHIM_DIED)
    told = mortal.docker(
        "events", "--since", str(since), "--until", str(time.time() + 1), "--format", "{{json .}}"
    ).stdout
    actions = [json.loads(line)["Action"] for line in told.splitlines()]
    assert "die" in actions
    assert "exec_die" not in actions  # as in Docker: it never began
    mortal.docker("rm", "cc")


@pytest.mark.parametrize("step", ZYGOTE)
def test_zygote(mortal: Wherryd, faulty: Callable[[str], None], step: str) -> None:
    faulty(step)
    first = zygotes(mortal)
    assert mortal.docker("run", "--rm", "busybox", "echo", "out").stdout == "out\n"
    assert mortal.docker("run", "--rm", "busybox", "echo", "again").stdout == "again\n"
    assert zygotes(mortal) != first, "the step was never hit"


def zygotes(mortal: Wherryd) -> list[str]:
    with open(f"/proc/{mortal.pid}/task/{mortal.pid}/children") as children:
        return children.read().split()


def test_every_step_is_tried() -> None:
    assert {*START, *END, *EXEC, PROBING, *ZYGOTE} == set(faults.STEPS)
