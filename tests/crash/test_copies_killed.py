"""The daemon is killed in the middle of a copy: no process and no mount is left, and the next one copies on."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from engine.containers import archive
from tests.crash.dying import is_killed_by
from tests.daemon import Wherryd
from tests.processes import Process, processes
from tests.unix_http import call
from tests.waiting import eventually

pytestmark = pytest.mark.root


@pytest.fixture(params=["running", "created"])
def box(mortal: Wherryd, request: pytest.FixtureRequest) -> Iterator[str]:
    """A container that runs, or one that never did, with a volume."""
    verb = ("run", "-d") if request.param == "running" else ("create",)
    mortal.docker(*verb, "--name", "box", "--network", "none", "-v", "vol:/v", "busybox", "sleep", "1000")
    yield "box"
    mortal.docker("rm", "-f", "-v", "box")
    mortal.docker("volume", "rm", "vol")


def packed() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as opened:
        opened.addfile(tarfile.TarInfo("new"))
    return made.getvalue()


def orphans() -> list[str]:
    """Processes that copy, or fork such ones, and whose daemon is dead: others' daemons have their own."""
    every = processes()
    return [
        f"{process.pid} {process.command}"
        for process in every.values()
        if "runtime.archive.server" in process.command and not _has_master(process, every)
    ]


def _has_master(process: Process, every: dict[int, Process]) -> bool:
    """Whether a daemon is above it, or a test that has it copy without one."""
    while process.parent in every:
        process = every[process.parent]
        if "--data-root" in process.command or "pytest" in process.command:
            return True
    return False


def ask(mortal: Wherryd, method: str, target: str) -> None:
    with suppress(HTTPException):  # cut off
        call(mortal.socket, method, target, packed() if method == "PUT" else None)


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("point", archive.POINTS)
def test_killed(mortal: Wherryd, box: str, point: str, method: str) -> None:
    target = f"/v1.45/containers/{box}/archive?path=/v"
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: ask(mortal, method, target))
    eventually(lambda: not orphans())
    assert str(mortal.exec_root / "view") not in Path("/proc/self/mountinfo").read_text()
    assert call(mortal.socket, "PUT", target, packed()).status == 200
    assert call(mortal.socket, "HEAD", f"{target}/new").status == 200
