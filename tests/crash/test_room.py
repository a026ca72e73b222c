"""The limit of a container's processes, which is higher while the runtime starts one more, whatever becomes of that."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import kernel
from tests.crash.dying import shim_of
from tests.daemon import Wherryd
from tests.waiting import eventually

pytestmark = pytest.mark.root

LIMIT = 10
RAISED = 26
RUNTIME = """#!/bin/sh
case " $* " in *" exec "*) while [ -e {gate} ]; do sleep 0.05; done ;; esac
exec runc "$@"
"""


class Box:
    """A container of which a process is about to be started: the runtime waits for `let_go`."""

    def __init__(self, daemon: Wherryd, gate: Path) -> None:
        self.gate = gate
        self.daemon = daemon
        daemon.docker(
            "run", "-d", "--name", "box", "--runtime", "slow", "--pids-limit", str(LIMIT), "busybox", "sleep", "1000"
        )  # fmt: skip
        self.pid = daemon.state("box")["Pid"]
        self.exec = self.begin()
        eventually(lambda: self.limit == str(RAISED))

    def begin(self) -> subprocess.Popen[bytes]:
        """One more process."""
        command = ["docker", "exec", "box", "sh", "-c", "exit 7"]
        return subprocess.Popen(command, env=self.daemon.client_env, stderr=subprocess.DEVNULL)

    @property
    def limit(self) -> str:
        """As the kernel has it."""
        return kernel.cgroup(self.pid, "pids.max")

    def update(self, *flags: str) -> None:
        """Have the daemon change limits."""
        self.daemon.docker("update", *flags, "box")

    def let_go(self, status: int = 7) -> None:
        """The runtime goes on."""
        self.gate.unlink()
        assert self.exec.wait(60) == status
        self.gate.touch()


@pytest.fixture
def box(mortal: Wherryd, tmp_path: Path) -> Iterator[Box]:
    gate, runtime = tmp_path / "gate", tmp_path / "slow"
    gate.touch()
    runtime.write_text(RUNTIME.format(gate=gate))
    runtime.chmod(0o755)
    mortal.config_file.write_text(f'{{"runtimes": {{"slow": {{"path": "{runtime}"}}}}}}')
    mortal.restart()
    made = Box(mortal, gate)
    yield made
    gate.unlink(missing_ok=True)
    made.exec.wait(60)
    mortal.docker("rm", "-f", "box")
    mortal.config_file.write_text("{}")
    mortal.restart()


def runtimes(box: Box) -> list[int]:
    shim = shim_of(box.pid)
    children = map(int, Path(f"/proc/{shim}/task/{shim}/children").read_text().split())
    return [child for child in children if child != box.pid]


def test_a_runtime_that_is_killed(box: Box) -> None:
    (runtime,) = runtimes(box)
    os.kill(runtime, signal.SIGKILL)
    assert box.exec.wait(60) not in (0, 7)
    assert box.limit == str(LIMIT)


def test_a_daemon_that_is_killed(box: Box, mortal: Wherryd) -> None:
    """The shim sees to it, whether there is a daemon or not."""
    second = box.begin()
    eventually(lambda: box.limit == str(RAISED + 16))
    mortal.kill9()
    assert box.exec.wait(60) != 7
    assert second.wait(60) != 7
    box.gate.unlink()
    eventually(lambda: box.limit == str(LIMIT))
    mortal.start()
    assert mortal.docker("exec", "box", "echo", "in").stdout == "in\n"
    assert box.limit == str(LIMIT)


@pytest.mark.parametrize("number", [RAISED, LIMIT, 9])
def test_an_update_meanwhile(box: Box, number: int) -> None:
    """Also to the very number that it is raised to."""
    box.update("--pids-limit", str(number))
    assert box.limit == str(number + 16)
    box.let_go()
    assert box.limit == str(number)


def test_updates_to_none_and_back(box: Box) -> None:
    box.update("--pids-limit", "-1")
    assert box.limit == "max"
    box.let_go()
    assert box.limit == "max"
    box.update("--pids-limit", str(RAISED))
    box.exec = box.begin()
    eventually(lambda: box.limit == str(RAISED + 16))
    box.let_go()
    assert box.limit == str(RAISED)


def test_an_update_of_something_else(box: Box) -> None:
    """Some runtimes write all limits anew then, and what is being started needs its room all the same."""
    box.update("--cpu-shares", "300")
    assert box.limit == str(RAISED)
    box.let_go()
    assert box.limit == str(LIMIT)


def test_a_container_that_ends_meanwhile(box: Box, mortal: Wherryd) -> None:
    """Nothing is left of it, its groups among it."""
    os.kill(box.pid, signal.SIGKILL)
    eventually(lambda: mortal.state("box")["Status"] == "exited")
    box.gate.unlink()
    assert box.exec.wait(60) not in (0, 7)
