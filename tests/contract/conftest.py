"""Snapshotters, each on its own; what they leave mounted fails the test."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime import unsettled
from runtime.mount import mountinfo, unmount
from runtime.snapshots.copy import CopySnapshotter
from runtime.snapshots.overlay import OverlaySnapshotter
from runtime.snapshots.snapshotter import Snapshotter
from tests.contract.snapshotting import Open


@pytest.fixture(params=[OverlaySnapshotter, CopySnapshotter])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    return lambda: request.param.open(tmp_path / "snapshots")


@pytest.fixture
async def snapshots(reopen: Open, tmp_path: Path) -> AsyncIterator[Snapshotter]:
    (tmp_path / "rootfs").mkdir()
    yield await reopen()
    left = [entry.target for entry in mountinfo() if entry.target.startswith(str(tmp_path))]
    for target in left:
        unmount(Path(target))
    assert left == []


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    return tmp_path / "rootfs"


@pytest.fixture
def host_crashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opens a store finds that the host was started anew since it was open before."""

    class Anew:
        def read_text(self) -> str:
            return secrets.token_hex(16)

    monkeypatch.setattr(unsettled, "BOOT_ID", Anew())
