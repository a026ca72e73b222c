"""Images need no daemon: what may be left here is processes and descriptors of the test's own."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.images.place import Place
from tests.roots import make_root


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    """Fail a test that leaves a child process or a descriptor."""
    before, descriptors = _state()
    yield
    children, now = _state()
    assert children <= before  # what an earlier test left may end meanwhile
    assert now <= descriptors  # garbage of one may have held some


def _state() -> tuple[set[str], int]:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return set(children.split()), len(os.listdir("/proc/self/fd"))


@pytest.fixture
def root() -> Iterator[Path]:
    """A data root that overlayfs can use."""
    made = make_root()
    yield made
    shutil.rmtree(made)


@pytest.fixture
async def place(root: Path) -> AsyncIterator[Place]:
    """An empty place."""
    opened = await Place.open(root)
    yield opened
    await opened.close()
