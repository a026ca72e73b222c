"""Clients that go in the middle of what they send: nothing comes of it, and it is no failure of the daemon's."""

import socket
import tarfile
from collections.abc import Iterator

import pytest

from tests.daemon import Wherryd
from tests.waiting import eventually

pytestmark = pytest.mark.root

CONNECTED = "03"
"""A socket's state in /proc/net/unix."""


@pytest.fixture(autouse=True)
def unharmed(no_leftovers: None, wherryd: Wherryd) -> Iterator[None]:
    """No upload makes an image, or makes the daemon log a traceback."""
    logged = wherryd.log.stat().st_size
    yield
    assert wherryd.docker("images", "-aq").stdout.count("\n") == 1
    with wherryd.log.open("rb") as log:
        log.seek(logged)
        new = log.read().decode(errors="replace")
    assert "Traceback" not in new, new


@pytest.mark.parametrize("sent", [0, 700, 3 << 20])
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/images/load"),
        ("POST", "/images/create?fromSrc=-&repo=cut"),
        ("PUT", "/containers/cut/archive?path=/"),
    ],
)
def test_a_client_that_goes_in_the_middle(wherryd: Wherryd, method: str, target: str, sent: int) -> None:
    wherryd.docker("create", "--name", "cut", "busybox")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(wherryd.socket))
            head = f"{method} {target} HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\n"
            client.sendall(f"{head}Content-Length: {1 << 30}\r\n\r\n".encode() + archive()[:sent])
            eventually(lambda: connections(wherryd) > 0)
        eventually(lambda: connections(wherryd) == 0)
        assert wherryd.get("/_ping").status == 200  # what noticed the end has had its turn
    finally:
        wherryd.docker("rm", "cut")


def archive() -> bytes:
    """The beginning of an archive with one large file."""
    entry = tarfile.TarInfo("large")
    entry.size = 1 << 30
    return entry.tobuf().ljust(4 << 20, b"x")


def connections(wherryd: Wherryd) -> int:
    """How many clients are connected now."""
    with open("/proc/net/unix") as sockets:
        return sum(line.split()[5::2] == [CONNECTED, str(wherryd.socket)] for line in sockets)
