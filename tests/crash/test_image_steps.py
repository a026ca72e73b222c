"""kill -9 in the middle of load, import and rmi: afterwards the image is whole or absent, and works or is gone."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.images import registration, remove
from tests.daemon import Wherryd
from tests.integration.images.archives import Made, docker_archive

pytestmark = pytest.mark.root

LOAD = [f"load.{step}" for step in registration.STEPS]
IMPORT = [f"import.{step}" for step in registration.STEPS]
REMOVE = [f"rmi.{step}" for step in remove.STEPS]


@pytest.fixture
def dies_at(mortal: Wherryd) -> Iterator[Callable[[str], None]]:
    """Restart the daemon so that it dies at a point; afterwards it runs as usual."""

    def arm(point: str) -> None:
        mortal.terminate()
        mortal.flags.append("--fault-points")
        mortal.env["WHERRY_FAULT"] = point
        mortal.start()
        mortal.flags.remove("--fault-points")
        mortal.env.clear()

    yield arm
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
    """The daemon dies of the command (a point that is never hit fails here), and is started again."""

    def act() -> None:
        env = mortal.client_env
        with (stdin or Path("/dev/null")).open("rb") as given:
            subprocess.run(["docker", *command], stdin=given, capture_output=True, env=env, check=False)

    worker = threading.Thread(target=act)
    worker.start()
    deadline = time.monotonic() + 20
    while mortal.alive:
        assert time.monotonic() < deadline, "the point was never hit"
        time.sleep(0.01)
    worker.join(20)
    mortal.start()


def stored(mortal: Wherryd) -> set[str]:
    """What the image store keeps on disk."""
    return {
        str(path.relative_to(mortal.data_root))
        for part in ("content", "snapshots")
        for path in (mortal.data_root / part).glob("**/*")
        if len(path.relative_to(mortal.data_root).parts) <= 3
    }


@pytest.mark.parametrize("point", LOAD)
def test_load(mortal: Wherryd, dies_at: Callable[[str], None], archive: Path, point: str) -> None:
    before = stored(mortal)
    dies_at(point)
    dies(mortal, "load", stdin=archive)
    if "saved:1" not in images(mortal):
        assert stored(mortal) == before
        mortal.docker("load", stdin=archive)
    assert mortal.docker("run", "--rm", "saved:1", "echo", "whole").stdout == "whole\n"
    mortal.docker("rmi", "saved:1")
    assert stored(mortal) == before


@pytest.mark.parametrize("point", IMPORT)
def test_import(mortal: Wherryd, dies_at: Callable[[str], None], busybox_tar: Path, point: str) -> None:
    before = stored(mortal)
    dies_at(point)
    dies(mortal, "import", "-", "saved:1", stdin=busybox_tar)
    if "saved:1" not in images(mortal):
        assert stored(mortal) == before
        mortal.docker("import", "-", "saved:1", stdin=busybox_tar)
    assert mortal.docker("run", "--rm", "saved:1", "echo", "whole").stdout == "whole\n"
    mortal.docker("rmi", "saved:1")
    assert stored(mortal) == before


@pytest.mark.parametrize("point", REMOVE)
def test_rmi(mortal: Wherryd, dies_at: Callable[[str], None], archive: Path, point: str) -> None:
    before = stored(mortal)
    mortal.docker("load", stdin=archive)
    dies_at(point)
    dies(mortal, "rmi", "saved:1")
    assert images(mortal) == {"busybox:latest"}
    assert stored(mortal) == before
