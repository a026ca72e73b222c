"""Contexts of the classic API that a step needs for more builds than the one that brought it."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.integration.images.archives import tar
from tests.unix_http import UnixConnection

pytestmark = pytest.mark.root

DOCKERFILE = b"FROM busybox\nRUN sleep 2 && echo %s >/first\nCOPY d /d\n"
LAST = b"Step 3/3"
NOTICED = 1.0  # seconds that it may take until a client that went is missed, and its build has ended


@contextmanager
def begun(daemon: Wherryd, archive: bytes) -> Iterator[UnixConnection]:
    """A build that goes on."""
    connection = UnixConnection(daemon.socket, 30)
    try:
        connection.request("POST", "/build?t=shared", archive, headers={"Content-Type": "application/x-tar"})
        yield connection
    finally:
        connection.close()


def waiting_copiers(daemon: Wherryd) -> list[int]:
    """The processes that wait for the order to copy."""
    (server,) = (each for each in children(daemon.pid) if b"runtime.copying.server" in command(each))
    return children(server)


def children(pid: int) -> list[int]:
    return [
        int(child)
        for thread in Path(f"/proc/{pid}/task").iterdir()
        for child in (thread / "children").read_text().split()
    ]


def command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_context_stays_for_who_shares_its_step(wherryd: Wherryd) -> None:
    dockerfile = DOCKERFILE % os.urandom(8).hex().encode()
    archive = tar({"Dockerfile": dockerfile, "d/one": b"1\n", "d/two": b"2\n"})
    with begun(wherryd, archive) as first:
        time.sleep(NOTICED)  # in which it comes to RUN
        copiers = waiting_copiers(wherryd)
        assert copiers
        for pid in copiers:
            os.kill(pid, signal.SIGSTOP)
        answer = first.getresponse()
        while LAST not in answer.readline():
            pass
        with begun(wherryd, archive) as second:
            answer = second.getresponse()
            while LAST not in answer.readline():
                pass
            first.close()
            time.sleep(NOTICED)
            for pid in copiers:
                os.kill(pid, signal.SIGCONT)
            told = answer.read()
    assert b"Successfully built" in told, told
    shown = wherryd.docker("run", "--rm", "--network", "none", "shared", "cat", "/d/one", "/d/two").stdout
    assert shown == "1\n2\n"
    assert os.listdir(wherryd.data_root / "build/contexts") == []
