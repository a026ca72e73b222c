"""A client that goes away, or a daemon that ends, takes the step that runs with it."""

import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.integration.build.run.steps import held
from tests.processes import processes
from tests.waiting import eventually

pytestmark = pytest.mark.root


@dataclass(frozen=True)
class Sleeping:
    """A context with a step that nobody else has."""

    context: Path
    seconds: str

    def runs(self) -> bool:
        """Whether the command of the step runs."""
        return any(process.command == f"sleep {self.seconds}" for process in processes().values())


@pytest.fixture
def step(tmp_path: Path) -> Sleeping:
    seconds = str(random.randrange(10**6, 10**7))
    (tmp_path / "Dockerfile").write_text(f"FROM busybox\nRUN touch /f; exec sleep {seconds}\n")
    return Sleeping(tmp_path, seconds)


def _heeds_interrupts() -> None:
    """Also where the tests were started in the background, by what ignores them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def begun(daemon: Wherryd, step: Sleeping, buildkit: str) -> Iterator[subprocess.Popen[bytes]]:
    """The client of a build whose step runs."""
    env = {**daemon.client_env, "DOCKER_BUILDKIT": buildkit}
    command = ["docker", "build", "--no-cache", str(step.context)]
    client = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=_heeds_interrupts
    )
    try:
        eventually(step.runs)
        yield client
    finally:
        client.kill()
        client.wait()


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("buildkit", ["0", "1"])
def test_client_goes_away(wherryd: Wherryd, step: Sleeping, buildkit: str, by: signal.Signals) -> None:
    before = held(wherryd)
    with begun(wherryd, step, buildkit) as client:
        client.send_signal(by)
        client.wait(20)
        eventually(lambda: not step.runs())
        eventually(lambda: held(wherryd) <= before)


def test_daemon_ends(start_daemon: Callable[..., Wherryd], step: Sleeping) -> None:
    daemon = start_daemon()
    with begun(daemon, step, "1") as client:
        assert daemon.terminate() == 0
        assert not step.runs()
        assert client.wait(20) != 0
    assert not os.listdir(daemon.exec_root / "build")
    assert not os.listdir(daemon.exec_root / "containers")
    daemon.start()
