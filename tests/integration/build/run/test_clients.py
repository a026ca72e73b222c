"""A client that goes away, or a daemon that ends, takes the step that runs with it."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.waiting import eventually

pytestmark = pytest.mark.root
SECONDS = "4321.5"


def running() -> bool:
    """Whether the command of the step runs."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == f"sleep\0{SECONDS}\0".encode():
                return True
        except OSError:
            continue
    return False


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text(f"FROM busybox\nRUN touch /f; exec sleep {SECONDS}\n")
    return tmp_path


def _heeds_interrupts() -> None:
    """Also where the tests were started in the background, by what ignores them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def begin(daemon: Wherryd, context: Path, buildkit: str) -> subprocess.Popen[bytes]:
    env = {**daemon.client_env, "DOCKER_BUILDKIT": buildkit}
    command = ["docker", "build", "--no-cache", str(context)]
    client = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_heeds_interrupts
    )
    eventually(running)
    return client


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("buildkit", ["0", "1"])
def test_client_goes_away(wherryd: Wherryd, context: Path, buildkit: str, by: signal.Signals) -> None:
    client = begin(wherryd, context, buildkit)
    client.send_signal(by)
    client.wait(20)
    eventually(lambda: not running())
    eventually(lambda: not os.listdir(wherryd.exec_root / "build"))
    eventually(lambda: not list((wherryd.data_root / "snapshots/active").iterdir()))


def test_daemon_ends(start_daemon: Callable[..., Wherryd], context: Path) -> None:
    daemon = start_daemon()
    client = begin(daemon, context, "1")
    assert daemon.terminate() == 0
    assert not running()
    assert client.wait(20) != 0
    assert not os.listdir(daemon.exec_root / "build")
    assert not os.listdir(daemon.exec_root / "containers")
    daemon.start()
