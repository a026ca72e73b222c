"""Storage needs no daemon: what may be left here is mounts, processes and descriptors of the test's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.mount import mountinfo


@pytest.fixture(autouse=True)
def no_leftovers(tmp_path: Path) -> Iterator[None]:
    """Fail a test that leaves a mount, a child process or a descriptor."""
    before = _state(tmp_path)
    yield
    assert _state(tmp_path) == before


def _state(place: Path) -> tuple[set[str], str, int]:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    mounts = {entry.target for entry in mountinfo() if entry.target.startswith(str(place))}
    return mounts, children, len(os.listdir("/proc/self/fd"))
