"""The daemon under test and a real dockerd, both with the image busybox:latest."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.peer.peer import Both, Peer, missing
from tests.roots import make_root


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here as a comparison with a real dockerd."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.peer)


@pytest.fixture(scope="session")
def peer(busybox_tar: Path) -> Iterator[Peer]:
    """A dockerd for the run."""
    if reason := missing():
        pytest.skip(reason)
    dockerd = Peer(make_root("peer-"))
    try:
        dockerd.start()
        dockerd.docker(
            "import", "--change", 'CMD ["sh"]', "-", "busybox:latest", stdin=busybox_tar.read_bytes()
        )
        yield dockerd
    finally:
        dockerd.destroy()


@pytest.fixture(scope="session")
def peer_wherryd(busybox_tar: Path) -> Iterator[Wherryd]:
    """The daemon that is compared."""
    daemon = Wherryd(make_root())
    try:
        daemon.start()
        daemon.import_busybox(busybox_tar)
        yield daemon
    finally:
        daemon.destroy()


@pytest.fixture
def both(peer_wherryd: Wherryd, peer: Peer) -> Both:
    """Call both: ours, theirs = both("GET", "/version")."""
    return Both(peer_wherryd, peer)
