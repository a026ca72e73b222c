"""The daemon under test and a real dockerd, both with the image busybox:latest.

WHERRY_LEDGER names a file in which the suite's books are kept: a run that finds one there goes on with it.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.peer.ledger import LEDGER
from tests.peer.peer import POOL, Both, Peer, missing, with_busybox
from tests.roots import make_root

HERE = Path(__file__).parent
LAST = HERE / "test_whole.py"
LISTED = "test_every_listed_difference_is_there"
BOOKS = Path(os.environ.get("WHERRY_LEDGER", os.devnull))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here as a comparison with a real dockerd, and put what looks back on it at the end."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.peer)
    items.sort(key=lambda item: (item.path == LAST, item.name == LISTED))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note which of the suite's modules run, and whether in part."""
    collected = {item.path for item in session.items}
    LEDGER.missing += [path.name for path in HERE.rglob("test_*.py") if path not in collected]
    if any("::" in argument for argument in session.config.args):
        LEDGER.missing.append("a part of a module")
    if BOOKS.is_file():
        LEDGER.go_on(BOOKS)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Note what was left out (-k, -m)."""
    LEDGER.missing += [item.nodeid for item in items if HERE in item.path.parents]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what was skipped, and what failed: that has asked something at least."""
    if report.skipped and LAST.name not in report.nodeid:
        LEDGER.missing.append(report.nodeid)
    if report.failed and LAST.name not in report.nodeid:
        LEDGER.failed.append(report.nodeid)


def pytest_sessionfinish() -> None:
    """Keep the books."""
    LEDGER.keep(BOOKS)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was compared."""
    if LEDGER.asked:
        requests = sum(len(statuses) for statuses in LEDGER.asked.values())
        endpoints = len({endpoint for endpoint, _ in LEDGER.asked})
        terminalreporter.write_line(f"compared with dockerd: {requests} requests on {endpoints} endpoints")


@pytest.fixture(scope="session")
def peer(busybox_tar: Path) -> Iterator[Peer]:
    """A dockerd for the run."""
    if reason := missing():
        pytest.skip(reason)
    with with_busybox(busybox_tar) as dockerd:
        yield dockerd


@pytest.fixture(scope="session")
def peer_wherryd(busybox_tar: Path) -> Iterator[Wherryd]:
    """The daemon that is compared."""
    with Wherryd(make_root(), [POOL]).running(busybox_tar) as daemon:
        yield daemon


@pytest.fixture
def both(peer_wherryd: Wherryd, peer: Peer) -> Both:
    """Call both: ours, theirs = both("GET", "/version")."""
    return Both(peer_wherryd, peer)
