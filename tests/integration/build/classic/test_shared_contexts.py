"""Contexts of the classic API that a step needs for more builds than the one that brought it."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.daemon import Wherryd
from tests.integration.build.classic.going import UNTIL_GO, go_on
from tests.integration.images.archives import tar
from tests.processes import processes
from tests.unix_http import UnixConnection
from tests.waiting import eventually

pytestmark = pytest.mark.root

DOCKERFILE = f"FROM busybox\nRUN echo begun; {UNTIL_GO}; echo {{}} >/first\nCOPY d /d\n"
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
    every = processes()
    servers = {
        pid
        for pid, each in every.items()
        if each.parent == daemon.pid and "runtime.copying.server" in each.command
    }
    return [pid for pid, each in every.items() if each.parent in servers]


def test_a_context_stays_for_who_shares_its_step(wherryd: Wherryd) -> None:
    word = os.urandom(8).hex()
    archive = tar({"Dockerfile": DOCKERFILE.format(word).encode(), "d/one": b"1\n", "d/two": b"2\n"})
    with begun(wherryd, archive) as first:
        answer = first.getresponse()
        while b'"begun\\n"' not in answer.readline():
            pass
        eventually(lambda: waiting_copiers(wherryd))
        copiers = waiting_copiers(wherryd)
        for pid in copiers:
            os.kill(pid, signal.SIGSTOP)
        go_on(word)
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
    eventually(lambda: os.listdir(wherryd.data_root / "build/contexts") == [])
