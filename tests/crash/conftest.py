"""Daemons that die: each test has its own, and is held to leave nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.leftovers import Leftovers, scope_of
from tests.roots import make_root


@pytest.fixture(scope="module")
def mortal(busybox_tar: Path) -> Iterator[Wherryd]:
    """A daemon with busybox that the tests of a module kill and start again."""
    with Wherryd(make_root()).running(busybox_tar) as daemon:
        yield daemon
        if not daemon.answers():
            daemon.start()


@pytest.fixture(autouse=True)
def nothing_left(mortal: Wherryd) -> Iterator[Callable[[], None]]:
    """After the test the daemon has no container, and the world nothing of one.

    What a test that failed has left is removed, since the next would find it: one failure stays one.
    """
    before = Leftovers(scope_of(mortal))

    def check() -> None:
        if left := mortal.docker("ps", "-aq").stdout.split():
            mortal.docker("rm", "-f", "-v", *left)
        assert not left
        before.check(scope_of(mortal))

    yield check
    check()
