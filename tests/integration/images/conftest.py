"""Images need no daemon: what may be left here is processes and descriptors of the test's own."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.images.place import Place
from tests.own_process import nothing_left
from tests.roots import make_root


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    """Fail a test that leaves a child process or a descriptor."""
    with nothing_left():
        yield


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
