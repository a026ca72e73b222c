"""The official CLI with buildx, at a real daemon."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.leftovers import COPIERS, Leftovers, images_of, scope_of

Build = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without buildx the CLI goes another way."""
    if not buildx():
        for item in items:
            item.add_marker(pytest.mark.skip(reason="needs buildx"))


def buildx() -> bool:
    """Whether the CLI has it."""
    if shutil.which("docker") is None:
        return False
    return not subprocess.run(["docker", "buildx", "version"], capture_output=True).returncode


@pytest.fixture(autouse=True)
def no_leftovers(wherryd: Wherryd, docker_context: Path) -> Iterator[None]:
    """Take away what was built, and the cache; then fail a test that left anything else."""
    wherryd.docker("buildx", "build", "-q", str(docker_context))  # what the first build makes for all stays
    wherryd.docker("image", "prune", "--force")
    wherryd.docker("buildx", "prune", "--force", "--all")
    before, images = Leftovers(scope_of(wherryd)), images_of(wherryd)
    yield
    for name in images_of(wherryd) - images:
        wherryd.call("DELETE", f"/images/{name}?force=1")
    wherryd.docker("buildx", "prune", "--force", "--all")
    before.check(scope_of(wherryd), kept=COPIERS)


@pytest.fixture
def docker_context(tmp_path: Path) -> Path:
    """Something that can be built."""
    place = tmp_path / "any"
    place.mkdir()
    (place / "Dockerfile").write_text("FROM busybox\nCOPY Dockerfile /\n")
    return place


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory that is built."""
    place = tmp_path / "project"
    place.mkdir()
    return place


@pytest.fixture
def build(wherryd: Wherryd, project: Path) -> Build:
    """Run `docker buildx build` on the project with a Dockerfile of those lines."""

    def run(dockerfile: str, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        (project / "Dockerfile").write_text(dockerfile)
        return wherryd.docker("buildx", "build", "--progress=plain", *args, str(project), check=check)

    return run
