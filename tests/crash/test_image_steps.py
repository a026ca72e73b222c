"""kill -9 in the middle of load, import and rmi: afterwards the image is whole or absent, and works or is gone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.images import registration, remove
from tests.crash.dying import is_killed_by
from tests.crash.image_store import stored
from tests.daemon import Wherryd
from tests.integration.images.archives import Made, docker_archive

pytestmark = pytest.mark.root

LOAD = [f"load.{step}" for step in registration.STEPS]
IMPORT = [f"import.{step}" for step in registration.STEPS]
REMOVE = [f"rmi.{step}" for step in remove.STEPS]


@pytest.fixture(autouse=True)
def only_busybox_left(mortal: Wherryd) -> Iterator[None]:
    """After the test no other image is there."""
    yield
    assert images(mortal) == {"busybox:latest"}


@pytest.fixture(scope="module")
def archive(busybox_tar: Path, session_root: Path) -> Path:
    """An image as `docker save` writes it."""
    path = session_root / "saved.tar"
    path.write_bytes(docker_archive(Made(layers=[busybox_tar.read_bytes()], tags=["saved:1"])))
    return path


def images(mortal: Wherryd) -> set[str]:
    return {tag for image in mortal.get("/images/json?all=1").json for tag in image["RepoTags"] or ["<none>"]}


def dies(mortal: Wherryd, *command: str, stdin: Path | None = None) -> None:
    """The daemon dies of a command of the CLI, and is started again."""
    is_killed_by(mortal, lambda: mortal.docker(*command, stdin=stdin))


@pytest.mark.parametrize("point", LOAD)
def test_load(mortal: Wherryd, archive: Path, point: str) -> None:
    before = stored(mortal)
    mortal.dies_at(point)
    dies(mortal, "load", stdin=archive)
    if "saved:1" not in images(mortal):
        assert stored(mortal) == before
        mortal.docker("load", stdin=archive)
    assert mortal.docker("run", "--rm", "saved:1", "echo", "whole").stdout == "whole\n"
    mortal.docker("rmi", "saved:1")
    assert stored(mortal) == before


@pytest.mark.parametrize("point", IMPORT)
def test_import(mortal: Wherryd, busybox_tar: Path, point: str) -> None:
    before = stored(mortal)
    mortal.dies_at(point)
    dies(mortal, "import", "-", "saved:1", stdin=busybox_tar)
    if "saved:1" not in images(mortal):
        assert stored(mortal) == before
        mortal.docker("import", "-", "saved:1", stdin=busybox_tar)
    assert mortal.docker("run", "--rm", "saved:1", "echo", "whole").stdout == "whole\n"
    mortal.docker("rmi", "saved:1")
    assert stored(mortal) == before


@pytest.mark.parametrize("point", REMOVE)
def test_rmi(mortal: Wherryd, archive: Path, point: str) -> None:
    before = stored(mortal)
    mortal.docker("load", stdin=archive)
    mortal.dies_at(point)
    dies(mortal, "rmi", "saved:1")
    nameless = {"<none>"} if point == "rmi.untag" else set()
    assert images(mortal) == {"busybox:latest"} | nameless
    mortal.docker("image", "prune", "-f")
    assert stored(mortal) == before
