"""A shim that has no descriptor left: the execs that it cannot start are refused, and all else goes on as before."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import kernel
from tests.crash.dying import shim_of
from tests.daemon import Wherryd
from tests.waiting import eventually

pytestmark = pytest.mark.root

DESCRIPTORS = 64
MANY = 30
"""More than it can have: one that runs takes four, one that begins some more."""


@pytest.fixture
def narrow(mortal: Wherryd) -> Iterator[Wherryd]:
    """A daemon whose shims have few: theirs is the soft limit of whoever starts it."""
    mortal.wrapper = ["prlimit", f"--nofile={DESCRIPTORS}:4096"]
    mortal.restart()
    yield mortal
    mortal.wrapper = []
    mortal.docker("rm", "-f", "box")
    mortal.restart()


def begin(daemon: Wherryd, flag: str) -> subprocess.Popen[bytes]:
    """An exec that stays until it is let go."""
    script = "while ! [ -e /gate/open ]; do sleep 0.2; done; exit 7"
    command = ["docker", "exec", flag, "box", "sh", "-c", script]
    null = subprocess.DEVNULL
    return subprocess.Popen(command, env=daemon.client_env, stdin=null, stdout=null, stderr=null)


@pytest.mark.parametrize("flag", ["-t", "-i"])
def test_more_execs_than_it_has_descriptors_for(narrow: Wherryd, flag: str, tmp_path: Path) -> None:
    """Terminals come by a socket, and one that finds no room is lost on the way."""
    narrow.docker(
        "run", "-d", "--name", "box", "--pids-limit", "200", "-v", f"{tmp_path}:/gate", "busybox", "sleep", "1000"
    )  # fmt: skip
    pid = narrow.state("box")["Pid"]
    descriptors = f"/proc/{shim_of(pid)}/fd"
    before = len(os.listdir(descriptors))
    execs = [begin(narrow, flag) for _ in range(MANY)]
    eventually(lambda: sum(each.poll() == 126 for each in execs) >= MANY // 4, 60)
    (tmp_path / "open").touch()
    assert {each.wait(60) for each in execs} == {7, 126}
    assert narrow.state("box")["Pid"] == pid
    assert kernel.cgroup(pid, "pids.max") == "200"
    eventually(lambda: len(os.listdir(descriptors)) == before)
