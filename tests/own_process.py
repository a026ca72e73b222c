"""What the tests' own process holds: a test leaves no child and no descriptor behind."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def nothing_left() -> Iterator[None]:
    """Fail if the block leaves a child process or a descriptor."""
    before, descriptors = _children(), _descriptors()
    yield
    assert _children() <= before  # what an earlier test left may end meanwhile
    assert _descriptors() <= descriptors  # garbage of one may have held some


def _children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
