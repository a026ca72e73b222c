"""The daemon is killed while archives stream out of it: nothing of them stays."""

import socket
from collections.abc import Callable

import pytest

from tests.daemon import Wherryd

pytestmark = pytest.mark.root

BIG = "dd if=/dev/urandom of=/big bs=1M count=20 2>/dev/null"


def begun(daemon: Wherryd, path: str) -> socket.socket:
    """An archive that has begun to come, and a client that reads no further."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(30)
    client.connect(str(daemon.socket))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: d\r\n\r\n".encode())
    assert client.recv(20).startswith(b"HTTP/1.1 200")
    return client


@pytest.mark.parametrize("runs", [True, False])
def test_killed_in_an_export(mortal: Wherryd, nothing_left: Callable[[], None], runs: bool) -> None:
    """A container that runs goes on; one that does not is whole, and starts."""
    rest = "; touch /ready; sleep 1000" if runs else ""
    mortal.docker("run", *(["-d"] if runs else []), "--name", "cc", "busybox", "sh", "-c", BIG + rest)
    while runs and mortal.docker("exec", "cc", "test", "-e", "/ready", check=False).returncode:
        pass
    with begun(mortal, "/containers/cc/export"):
        mortal.kill9()
    mortal.start()
    if runs:
        assert mortal.docker("exec", "cc", "stat", "-c", "%s", "/big").stdout == f"{20 << 20}\n"
    else:
        assert "A /big" in mortal.docker("diff", "cc").stdout
        mortal.docker("start", "cc")
        mortal.docker("wait", "cc")
    mortal.docker("rm", "-f", "cc")
    nothing_left()


def test_killed_in_a_save(mortal: Wherryd) -> None:
    """The image is there still, and can be removed."""
    mortal.docker("run", "--name", "cc", "busybox", "sh", "-c", BIG)
    mortal.docker("commit", "cc", "big:1")
    mortal.docker("rm", "cc")
    with begun(mortal, "/images/big:1/get"):
        mortal.kill9()
    mortal.start()
    assert mortal.docker("run", "--rm", "big:1", "stat", "-c", "%s", "/big").stdout == f"{20 << 20}\n"
    mortal.docker("rmi", "big:1")
