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
    daemon = Wherryd(make_root())
    try:
        daemon.start()
        daemon.import_busybox(busybox_tar)
        yield daemon
    finally:
        if not daemon.answers():
            daemon.start()
        daemon.destroy()


@pytest.fixture(autouse=True)
def nothing_left(mortal: Wherryd) -> Iterator[Callable[[], None]]:
    """After the test the daemon has no container, and the world nothing of one."""
    before = Leftovers(scope_of(mortal))

    def check() -> None:
        assert mortal.docker("ps", "-aq").stdout == ""
        left = before.settle(scope_of(mortal))
        assert not left, "left:\n  " + "\n  ".join(left)

    yield check
    check()
