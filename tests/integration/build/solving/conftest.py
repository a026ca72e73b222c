"""An engine of its own for each test."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.build.solving.builder import Builder
from tests.roots import make_root


@pytest.fixture(autouse=True)
def no_leftovers() -> None:
    """No daemon of the run is asked."""


@pytest.fixture
def builder_root() -> Iterator[Path]:
    """Where the engine is."""
    root = make_root()
    yield root
    shutil.rmtree(root)


@pytest.fixture
async def builder(builder_root: Path, busybox_tar: Path) -> AsyncIterator[Builder]:
    """Images can be built."""
    builder = Builder(builder_root)
    try:
        await builder.open(busybox_tar)
        yield builder
    finally:
        await builder.close()
