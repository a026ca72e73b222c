"""A start with a user namespace, whose network comes after its process, is killed at each step."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.dying import is_killed_by
from tests.daemon import Wherryd
from tests.ports import free_port
from tests.remapped import remapped

pytestmark = pytest.mark.root
POINTS = ("mount", "create", "endpoints", "ports", "save")


@pytest.fixture(scope="module")
def mortal(busybox_tar: Path) -> Iterator[Wherryd]:
    with remapped().running(busybox_tar) as daemon:
        yield daemon
        if not daemon.answers():
            daemon.start()


@pytest.mark.parametrize("point", POINTS)
def test_start(mortal: Wherryd, point: str) -> None:
    options = ("--name", "cc", "-p", f"127.0.0.1:{free_port()}:80", "--ipc", "shareable", "-v", "cv:/v")
    mortal.docker("create", *options, "busybox", "sleep", "1000")
    mortal.dies_at(f"start.{point}")
    is_killed_by(mortal, lambda: mortal.docker("start", "cc"))
    if not mortal.get("/containers/cc/json").json["State"]["Running"]:
        mortal.docker("start", "cc")
    shown = mortal.docker("exec", "cc", "stat", "-c", "%u", "/", "/v", "/etc/hosts", "/dev/shm").stdout
    assert shown.split() == ["0"] * 4
    assert "eth0" in mortal.docker("exec", "cc", "ip", "-o", "-4", "addr").stdout
    mortal.docker("rm", "-f", "cc")
    mortal.docker("volume", "rm", "cv")
