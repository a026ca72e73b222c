"""kill -9 in the middle of tag, commit, prune, and removals of chains: images are whole or absent, nothing is left."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.images import prune, registration, remove, tag
from tests.crash.dying import is_killed_by
from tests.crash.image_store import stored
from tests.daemon import Wherryd
from tests.integration.images.archives import Made, docker_archive, tar

pytestmark = pytest.mark.root

TAG = [f"tag.{step}" for step in tag.STEPS]
COMMIT = [f"commit.{step}" for step in registration.STEPS]
REMOVE = [f"rmi.{step}" for step in remove.STEPS]
PRUNE = [f"prune.{step}" for step in prune.STEPS] + REMOVE
DANGLING = Made(layers=[tar({"dangling": b"x" * 5000})], tags=[])


@pytest.fixture(autouse=True)
def busybox_alone(mortal: Wherryd) -> Iterator[None]:
    """Before and after a test there is busybox, and of the stores what it needs."""
    before = stored(mortal)
    yield
    assert names(mortal) == {"busybox:latest"}
    assert stored(mortal) == before


def names(mortal: Wherryd) -> set[str]:
    listed = mortal.get("/images/json?all=1").json
    return {name for image in listed for name in image["RepoTags"] or ["<none>"]}


def partial(mortal: Wherryd) -> Path:
    """A download that broke off just now."""
    path = mortal.data_root / "content" / "retained" / ("0" * 64)
    path.write_bytes(b"half")
    return path


@pytest.mark.parametrize("point", TAG)
def test_tag(mortal: Wherryd, point: str) -> None:
    """What was committed is there, though nobody was told."""
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("tag", "busybox", "named:1"))
    assert names(mortal) == {"busybox:latest", "named:1"}
    mortal.docker("rmi", "named:1")


def test_untag(mortal: Wherryd) -> None:
    mortal.docker("tag", "busybox", "named:1")
    mortal.dies_at("rmi.untag")
    is_killed_by(mortal, lambda: mortal.docker("rmi", "named:1"))


@pytest.mark.parametrize("point", COMMIT)
def test_commit(mortal: Wherryd, point: str) -> None:
    mortal.docker("run", "--name", "wrote", "--net", "none", "busybox", "touch", "/mine")
    before = stored(mortal)
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("commit", "wrote", "child:1"))
    if "child:1" not in names(mortal):
        assert stored(mortal) == before
        mortal.docker("commit", "wrote", "child:1")
    assert mortal.docker("run", "--rm", "--net", "none", "child:1", "ls", "/mine").stdout == "/mine\n"
    mortal.docker("rm", "wrote")
    mortal.docker("rmi", "--no-prune", "child:1")


@pytest.mark.parametrize("point", REMOVE)
def test_removal_of_a_chain(mortal: Wherryd, point: str) -> None:
    """Killed at the removal of the child, or at that of its parent: what is left can be removed."""
    mortal.docker("load", stdin=docker_archive(Made(layers=DANGLING.layers, tags=["parent:1"])))
    mortal.docker("create", "--name", "of-parent", "parent:1", "x")
    mortal.docker("commit", "of-parent", "child:1")
    mortal.docker("rm", "of-parent")
    mortal.docker("rmi", "parent:1")
    assert names(mortal) == {"busybox:latest", "child:1", "<none>"}
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("rmi", "child:1"))
    left = mortal.get("/images/json?all=1").json
    assert len(left) == 2, "the parent of what is gone, and no more"
    for image in left:
        assert mortal.get(f"/images/{image['Id']}/get").status == 200
    mortal.docker("image", "prune", "-f")


@pytest.mark.parametrize("point", PRUNE)
def test_prune(mortal: Wherryd, point: str) -> None:
    """Images that nothing needs, one with a name among them, and a partial download; again it comes to its end."""
    mortal.docker("create", "--name", "keeps", "busybox")
    mortal.docker("load", stdin=docker_archive(DANGLING))
    mortal.docker("load", stdin=docker_archive(Made(layers=[tar({"named": b"y"})], tags=["named:1"])))
    left = partial(mortal)
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("image", "prune", "-af"))
    for image in mortal.get("/images/json?all=1").json:
        assert mortal.get(f"/images/{image['Id']}/get").status == 200
    assert left.exists() == (point != "prune.collected")
    mortal.docker("image", "prune", "-af")
    assert not left.exists()
    mortal.docker("rm", "keeps")
