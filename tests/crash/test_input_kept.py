"""The daemon ends, or is killed, while clients type: the input of containers stays open, that of execs ends."""

import subprocess
from collections.abc import Callable

import pytest

from tests.daemon import Wherryd
from tests.waiting import eventually

pytestmark = pytest.mark.root


def typing(daemon: Wherryd, *args: str) -> "subprocess.Popen[bytes]":
    """A client that has said a line and keeps its input open, once the line has come back."""
    client = subprocess.Popen(
        ["docker", *args],
        env=daemon.client_env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(b"first\n")
    client.stdin.flush()
    assert client.stdout.readline() == b"first\n"
    return client


@pytest.mark.parametrize("end", [Wherryd.terminate, Wherryd.kill9])
def test_the_next_client_types_on(
    mortal: Wherryd, nothing_left: Callable[[], None], end: Callable[[Wherryd], None]
) -> None:
    with typing(mortal, "run", "-i", "--name", "cc", "busybox", "cat") as client:
        eventually(lambda: mortal.state("cc")["Running"])
        end(mortal)
        client.kill()
    mortal.start()
    assert mortal.docker("attach", "cc", stdin=b"second\n").stdout == "second\n"
    assert mortal.docker("wait", "cc").stdout == "0\n"
    assert mortal.docker("logs", "cc").stdout == "first\nsecond\n"
    mortal.docker("rm", "cc")
    nothing_left()


@pytest.mark.parametrize("end", [Wherryd.terminate, Wherryd.kill9])
def test_an_exec_that_nobody_can_reach_ends(
    mortal: Wherryd, nothing_left: Callable[[], None], end: Callable[[Wherryd], None]
) -> None:
    mortal.docker("run", "-d", "--name", "cc", "busybox", "sleep", "1000")
    with typing(mortal, "exec", "-i", "cc", "cat") as client:
        end(mortal)
        client.kill()
    mortal.start()
    eventually(lambda: "cat" not in mortal.docker("top", "cc").stdout)
    mortal.docker("rm", "-f", "cc")
    nothing_left()
