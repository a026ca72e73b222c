"""An engine of its own for each test; after it nothing of a step may be left."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.build.run.bench import Bench, until
from tests.roots import make_root


@pytest.fixture(autouse=True)
def no_leftovers() -> None:
    """No daemon of the run is asked: the bench looks for itself."""


@pytest.fixture
def bench_root() -> Iterator[Path]:
    """Where the engine is."""
    root = make_root()
    yield root
    shutil.rmtree(root)


@pytest.fixture
async def bench(bench_root: Path, busybox_tar: Path) -> AsyncIterator[Bench]:
    """Steps can be run."""
    bench = Bench(bench_root)
    try:
        await bench.open(busybox_tar)
        yield bench
        await until(lambda: not bench.left())
    finally:
        await bench.close()
