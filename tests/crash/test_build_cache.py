"""kill -9 right after a build was answered: the next start has all of its cache, and all is settled later."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd

pytestmark = pytest.mark.root

STEPS = "FROM busybox\nRUN echo one > /one\nCOPY f /f\n"


@pytest.fixture
def project(tmp_path: Path, mortal: Wherryd, nothing_left: None) -> Iterator[Path]:
    """What is built; after the test nothing of it is kept."""
    (tmp_path / "f").write_text("content")
    yield tmp_path
    mortal.docker("image", "prune", "-f")
    mortal.docker("builder", "prune", "-af")
    mortal.restart()  # which ends workers that wait for the next build


def build(mortal: Wherryd, project: Path, dockerfile: str, *args: str, check: bool = True) -> str:
    (project / "Dockerfile").write_text(dockerfile)
    return mortal.docker("build", "--progress=plain", *args, str(project), check=check).stderr


def steps_cached(said: str) -> int:
    """How many there are but for FROM, which always is."""
    return said.count(" CACHED") - 1


def killed(mortal: Wherryd) -> None:
    mortal.kill9()
    mortal.start()


def test_nothing_of_an_answered_build_is_done_again(mortal: Wherryd, project: Path) -> None:
    build(mortal, project, STEPS, "-o", f"type=local,dest={project}/out")  # no image, which would settle it
    killed(mortal)
    again = build(mortal, project, STEPS, "-t", "made")
    assert steps_cached(again) == 2, again
    assert mortal.docker("run", "--rm", "made", "cat", "/one", "/f").stdout == "one\ncontent"
    mortal.docker("rmi", "made")
    deadline = time.monotonic() + 15
    while (left := marks(mortal)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left
    killed(mortal)
    assert steps_cached(build(mortal, project, STEPS)) == 2


def test_nor_what_was_done_before_a_step_that_failed(mortal: Wherryd, project: Path) -> None:
    build(mortal, project, STEPS + "RUN exit 1\n", check=False)
    killed(mortal)
    assert steps_cached(build(mortal, project, STEPS)) == 2


def marks(mortal: Wherryd) -> list[str]:
    places = ("content", "snapshots")
    return [mark.name for place in places for mark in (mortal.data_root / place / "unsettled").iterdir()]
