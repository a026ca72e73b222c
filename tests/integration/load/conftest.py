"""Crowds of clients on the daemon of the run; what a failed test left does not fail the next one."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.daemon import Wherryd
from tests.integration.load.crowd import Crowd


@pytest.fixture(autouse=True)
def cleared(no_leftovers: None, wherryd: Wherryd) -> Iterator[None]:
    """Before the look for leftovers no container is there."""
    yield
    if ids := wherryd.docker("ps", "-aq").stdout.split():
        wherryd.docker("rm", "-f", "-v", *ids)


@pytest.fixture
async def crowd(wherryd: Wherryd) -> AsyncIterator[Crowd]:
    async with Crowd(wherryd) as many:
        yield many
