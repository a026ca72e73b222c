"""An engine of its own for each test; after it nothing of a step may be left."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.build.run.steps import Steps, until
from tests.roots import make_root


@pytest.fixture(autouse=True)
def no_leftovers() -> None:
    """No daemon of the run is asked: the engine is looked at here."""


@pytest.fixture
def steps_root() -> Iterator[Path]:
    """Where the engine is."""
    root = make_root()
    yield root
    shutil.rmtree(root)


@pytest.fixture
async def steps(steps_root: Path, busybox_tar: Path) -> AsyncIterator[Steps]:
    """Steps can be run."""
    steps = Steps(steps_root)
    try:
        await steps.open(busybox_tar)
        yield steps
        await until(lambda: not steps.left())
    finally:
        await steps.close()
