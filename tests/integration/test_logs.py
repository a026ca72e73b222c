"""`docker logs`."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd

pytestmark = pytest.mark.root


@pytest.fixture
def written(wherryd: Wherryd) -> Iterator[str]:
    script = "for n in 1 2 3 4 5; do echo line $n; done; echo error >&2"
    wherryd.docker("run", "--name", "written", "busybox", "sh", "-c", script)
    yield "written"
    wherryd.docker("rm", "written")


def test_streams_and_tail(wherryd: Wherryd, written: str) -> None:
    done = wherryd.docker("logs", written)
    assert done.stdout == "".join(f"line {n}\n" for n in range(1, 6))
    assert done.stderr == "error\n"
    tail = wherryd.docker("logs", "--tail", "2", written)
    assert tail.stdout + tail.stderr == "line 5\nerror\n"
    assert wherryd.docker("logs", "--tail", "0", written).stdout == ""


def test_timestamps_since_and_until(wherryd: Wherryd, written: str) -> None:
    first = wherryd.docker("logs", "-t", written).stdout.splitlines()[0]
    stamp, _, text = first.partition(" ")
    assert text == "line 1"
    assert len(stamp) == len("2006-01-02T15:04:05.000000000Z")
    assert wherryd.docker("logs", "--since", "1h", written).stdout.count("\n") == 5
    assert wherryd.docker("logs", "--until", "1h", written).stdout == ""


def test_follow(wherryd: Wherryd) -> None:
    script = "echo one; read x; echo two; exit 3"
    wherryd.docker("run", "-d", "-i", "--name", "followed", "busybox", "sh", "-c", script)
    follower = subprocess.Popen(
        ["docker", "logs", "-f", "followed"], env=wherryd.client_env, stdout=subprocess.PIPE
    )
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"one\n"
    time.sleep(0.3)
    assert follower.poll() is None
    wherryd.docker("attach", "followed", stdin=b"go\n", check=False)
    out, _ = follower.communicate(timeout=20)
    assert out == b"two\n"
    wherryd.docker("rm", "followed")


def test_rotation(wherryd: Wherryd) -> None:
    script = "n=0; while [ $n -lt 2000 ]; do echo line $n; n=$((n+1)); done"
    wherryd.docker(
        "run",
        "--name",
        "rotated",
        "--log-opt",
        "max-size=40k",
        "--log-opt",
        "max-file=3",
        "busybox",
        "sh",
        "-c",
        script,
    )
    path = Path(wherryd.docker("inspect", "-f", "{{.LogPath}}", "rotated").stdout.strip())
    files = sorted(path.parent.glob("*-json.log*"))
    assert len(files) == 3
    assert all(file.stat().st_size <= 41_000 for file in files)
    lines = wherryd.docker("logs", "rotated").stdout.splitlines()
    assert lines[-1] == "line 1999"
    assert lines == [f"line {n}" for n in range(2000 - len(lines), 2000)]
    wherryd.docker("rm", "rotated")


def test_the_file_is_dockers(wherryd: Wherryd, written: str) -> None:
    path = Path(wherryd.docker("inspect", "-f", "{{.LogPath}}", written).stdout.strip())
    identifier = wherryd.docker("inspect", "-f", "{{.Id}}", written).stdout.strip()
    assert path.name == f"{identifier}-json.log"
    record = json.loads(path.read_text().splitlines()[0])
    assert (record["log"], record["stream"]) == ("line 1\n", "stdout")


def test_no_log(wherryd: Wherryd) -> None:
    seen = wherryd.docker("run", "--name", "mute", "--log-driver", "none", "busybox", "echo", "seen")
    assert seen.stdout == "seen\n"
    done = wherryd.docker("logs", "mute", check=False)
    assert "configured logging driver does not support reading" in done.stderr
    wherryd.docker("rm", "mute")


def test_a_terminals_log_is_raw(wherryd: Wherryd) -> None:
    wherryd.docker("run", "-t", "--name", "raw", "busybox", "echo", "hi")
    assert wherryd.docker("logs", "raw").stdout == "hi\r\n"
    wherryd.docker("rm", "raw")
