"""Builds of the classic API at a real daemon: what they leave is images and the cache, which are taken away."""

from collections.abc import Iterator

import pytest

from tests.daemon import Wherryd
from tests.integration.images.archives import tar
from tests.leftovers import COPIERS, Leftovers, images_of, scope_of
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def no_leftovers(wherryd: Wherryd) -> Iterator[None]:
    """Take away what was built, and the cache; then fail a test that left anything else."""
    first = tar({"Dockerfile": b"FROM busybox\nCOPY . /all\nRUN true\n"})
    assert wherryd.call("POST", "/build", first).status == 200  # what the first build makes for all stays
    images = {"busybox:latest"}
    _sweep(wherryd, images)
    before = Leftovers(scope_of(wherryd))
    yield
    eventually(lambda: _swept(wherryd, images))
    before.check(scope_of(wherryd), kept=COPIERS)


def _swept(wherryd: Wherryd, images: set[str]) -> bool:
    """Sweep, and tell whether nothing of the cache is left: a build whose client went uses it until it has ended."""
    _sweep(wherryd, images)
    return not wherryd.get("/v1.45/system/df").json["BuildCache"]


def _sweep(wherryd: Wherryd, images: set[str]) -> None:
    """Remove images, and all of the cache.

    An image of which a failed test left a container stays, and is no other test's failure.
    """
    while names := images_of(wherryd) - images:
        if 200 not in [wherryd.call("DELETE", f"/images/{name}?force=1").status for name in names]:
            break
    wherryd.call("POST", "/build/prune?all=1")
