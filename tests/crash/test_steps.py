"""Every verb is killed at every step of its undo stack: after the restart it is done or undone, nothing is left."""

import os
import time

import pytest

from engine import faults
from engine.containers import create, remove, start
from engine.images import registration
from runtime import mount
from tests.crash.dying import is_killed_by
from tests.daemon import Wherryd

pytestmark = pytest.mark.root

CREATE = [f"create.{step}" for step in create.STEPS]
START = [f"start.{step}" for step in start.STEPS]
REMOVE = [f"remove.{step}" for step in remove.STEPS]


def agrees_with_the_kernel(mortal: Wherryd, name: str) -> None:
    found = mortal.state(name)
    if found and found["Running"]:
        assert os.path.exists(f"/proc/{found['Pid']}")
    assert len(mortal.docker("ps", "-q").stdout.split()) == bool(found and found["Running"])


@pytest.mark.parametrize("point", CREATE)
def test_create(mortal: Wherryd, point: str) -> None:
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("create", "--name", "cc", "busybox", "sleep", "1000"))
    if not mortal.state("cc"):
        mortal.docker("create", "--name", "cc", "busybox", "sleep", "1000")
    mortal.docker("start", "cc")
    mortal.docker("rm", "-f", "cc")


@pytest.mark.parametrize("point", START)
def test_start(mortal: Wherryd, point: str) -> None:
    options = ("--name", "cc", "-p", "18080:80", "--ipc", "shareable")
    mortal.docker("create", *options, "busybox", "sleep", "1000")
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("start", "cc"))
    agrees_with_the_kernel(mortal, "cc")
    if not mortal.state("cc")["Running"]:
        mortal.docker("start", "cc")
    assert mortal.docker("exec", "cc", "echo", "alive").stdout == "alive\n"
    mortal.docker("rm", "-f", "cc")


@pytest.mark.parametrize("point", ["start.shm", "start.create", "start.start"])
def test_a_start_that_joins(mortal: Wherryd, point: str) -> None:
    """The donor's /dev/shm is whole, and nobody's bind of it is left but those of who runs."""
    mortal.docker("run", "-d", "--name", "donor", "--ipc", "shareable", "busybox", "sleep", "1000")
    mortal.docker("exec", "donor", "sh", "-c", "echo kept > /dev/shm/kept")
    mortal.docker("create", "--name", "cc", "--ipc", "container:donor", "busybox", "sleep", "1000")
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("start", "cc"))
    running = set(mortal.docker("ps", "-q", "--no-trunc").stdout.split())
    mounted = [entry.target for entry in mount.mountinfo() if entry.target.startswith(f"{mortal.exec_root}/")]
    assert {target.split("/")[-2] for target in mounted if target.endswith("/shm")} == running
    mortal.docker("start", "cc")
    for name in ("donor", "cc"):
        assert mortal.docker("exec", name, "cat", "/dev/shm/kept").stdout == "kept\n"
    mortal.docker("rm", "-f", "donor", "cc")


@pytest.mark.parametrize("point", REMOVE)
def test_remove(mortal: Wherryd, point: str) -> None:
    mortal.docker("create", "--name", "cc", "busybox", "sleep", "1000")
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("rm", "cc"))
    assert mortal.get("/containers/cc/json").status == 404


@pytest.mark.parametrize("point", ["exit.released", "exit.recorded"])
def test_exit(mortal: Wherryd, point: str) -> None:
    ends = "while [ ! -e /go ]; do sleep 0.1; done; exit 9"
    mortal.docker("run", "-d", "--name", "cc", "--ipc", "shareable", "busybox", "sh", "-c", ends)
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("exec", "cc", "touch", "/go"))
    found = mortal.state("cc")
    assert (found["Status"], found["ExitCode"]) == ("exited", 9)
    mortal.docker("rm", "cc")


def test_stop(mortal: Wherryd) -> None:
    mortal.docker("run", "-d", "--name", "cc", "busybox", "sleep", "1000")
    mortal.dies_at("stop.marked")
    is_killed_by(mortal, lambda: mortal.docker("stop", "-t", "0", "cc"))
    agrees_with_the_kernel(mortal, "cc")
    mortal.docker("rm", "-f", "cc")


def test_restart(mortal: Wherryd) -> None:
    mortal.docker("run", "-d", "--name", "cc", "busybox", "sleep", "1000")
    mortal.dies_at("restart.stopped")
    is_killed_by(mortal, lambda: mortal.docker("restart", "-t", "0", "cc"))
    deadline = time.monotonic() + 10
    while not mortal.state("cc")["Running"]:
        assert time.monotonic() < deadline, "a restart that was cut short is completed"
        time.sleep(0.05)
    mortal.docker("rm", "-f", "cc")


def test_pause(mortal: Wherryd) -> None:
    mortal.docker("run", "-d", "--name", "cc", "busybox", "sleep", "1000")
    mortal.dies_at("pause.frozen")
    is_killed_by(mortal, lambda: mortal.docker("pause", "cc"))
    status = mortal.state("cc")["Status"]
    done = mortal.docker("exec", "cc", "true", check=False)
    assert (done.returncode == 0) == (status == "running")
    mortal.docker("rm", "-f", "cc")


def test_commit(mortal: Wherryd) -> None:
    """What the engine paused for itself goes on, and is not paused for the user."""
    mortal.docker("run", "-d", "--name", "cc", "busybox", "sleep", "1000")
    mortal.dies_at("commit.frozen")
    is_killed_by(mortal, lambda: mortal.docker("commit", "cc", "committed"))
    assert mortal.state("cc")["Status"] == "running"
    assert mortal.docker("exec", "cc", "echo", "alive").stdout == "alive\n"
    assert mortal.docker("images", "-q", "committed").stdout == ""
    mortal.docker("rm", "-f", "cc")


@pytest.mark.parametrize("step", registration.STEPS)
def test_commit_is_whole_or_absent(mortal: Wherryd, step: str) -> None:
    mortal.docker("run", "--name", "cc", "busybox", "sh", "-c", "echo yes > /new")
    mortal.dies_at(f"commit.{step}")
    is_killed_by(mortal, lambda: mortal.docker("commit", "cc", "committed"))
    if step == "save":
        assert mortal.docker("run", "--rm", "committed", "cat", "/new").stdout == "yes\n"
        mortal.docker("rmi", "committed")
    assert mortal.docker("images", "-q", "committed").stdout == ""
    mortal.docker("rm", "cc")


def test_every_plain_point_is_tested() -> None:
    """Those of health are in test_health_steps.py."""
    assert set(faults.PLAIN) - {"health.recorded", "unhealthy.marked"} == {
        "exit.released", "exit.recorded", "stop.marked", "restart.stopped", "pause.frozen", "commit.frozen",
    }  # fmt: skip
