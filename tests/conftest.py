"""What every test may ask for: a directory that overlayfs can use, and the bytes of a small image."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.roots import make_root

REPOSITORY = Path(__file__).resolve().parent.parent

# How long an example takes, or is looked for, tells of the host: it may stand still for a second.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what only root can do where the tests run as somebody else."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(scope="session")
def session_root() -> Iterator[Path]:
    """A directory for the whole run, not on overlayfs, with a short path."""
    root = make_root()
    yield root
    shutil.rmtree(root)


@pytest.fixture(scope="session")
def busybox_tar(session_root: Path) -> Path:
    """The root filesystem of the busybox image, as `docker import` takes it."""
    path = session_root / "busybox.tar"
    with path.open("wb") as stream:
        subprocess.run(
            [sys.executable, "-I", str(REPOSITORY / "contrib/scripts/busybox_image.py")],
            check=True,
            stdout=stream,
        )
    return path
