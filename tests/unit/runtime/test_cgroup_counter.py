"""Following an events file of cgroup v2, on the real thing: `populated` instead of `oom_kill`."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.shim.cgroup import Counter
from runtime.shim.epoll import Loop
from tests.waiting import eventually

pytestmark = pytest.mark.root
ROOTS = [Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")]


@pytest.fixture
def group() -> Iterator[Path]:
    root = next((root for root in ROOTS if (root / "cgroup.procs").exists()), None)
    if root is None:
        pytest.skip("cgroup v2 is not mounted")
    path = root / f"wherry-test-{os.getpid()}"
    path.mkdir()
    yield path
    if path.exists():
        path.rmdir()


def run_for(loop: Loop, seconds: float) -> int:
    """Serve for that long and return how often the loop woke up."""
    rounds = 0
    poll = loop._epoll
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for fd, events in poll.poll(max(0.0, end - time.monotonic())):
            loop._watchers[fd](fd, events)
            rounds += 1
    return rounds


def test_change_is_seen_even_when_the_group_is_gone(group: Path) -> None:
    loop = Loop()
    counter = Counter(loop, str(group / "cgroup.events"), "populated")
    assert counter.highest == 0
    process = subprocess.Popen(["sleep", "60"])
    (group / "cgroup.procs").write_text(str(process.pid))
    eventually(lambda: run_for(loop, 0.1) and counter.highest == 1)
    process.kill()
    process.wait()
    run_for(loop, 0.1)
    descriptors = len(os.listdir("/proc/self/fd"))
    group.rmdir()
    assert run_for(loop, 0.2) < 5, "it spins on a group that is gone"
    assert counter.highest == 1
    assert len(os.listdir("/proc/self/fd")) <= descriptors


def test_no_such_file(group: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Counter(Loop(), str(group / "nowhere"), "x")
