"""Images of a Debian with Python and a C compiler in Debian's registry, and what their trees must be."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.images import roots, stored, tree
from tests.images.image import Image
from tests.images.room import roomy_root
from tests.images.tree import Tree
from tests.registries import DebianRegistry
from tests.registries import missing as registry_missing
from tests.wire.answers import Answers, watch

REPOSITORY = "debian/compiler"


@pytest.fixture(scope="package")
def images() -> dict[str, Image]:
    """By tag."""
    if reason := stored.missing():
        pytest.skip(reason)
    return stored.images()


@pytest.fixture(scope="package")
def room() -> Iterator[Path]:
    """Where there is room for large things."""
    made = roomy_root()
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="package")
def wherryd(busybox_tar: Path, session_root: Path, watched: list[Answers]) -> Iterator[Wherryd]:
    """A daemon of these tests' own, with the image busybox:latest."""
    daemon = Wherryd(roomy_root())
    watched += watch(daemon, session_root)
    with daemon.running(busybox_tar):
        yield daemon


@pytest.fixture(scope="package")
def registry(session_root: Path, images: dict[str, Image]) -> Iterator[DebianRegistry]:
    """A registry that has them, under their tags."""
    if reason := registry_missing():
        pytest.skip(reason)
    made = DebianRegistry(session_root / "registry-debian")
    made.start()
    for tag, each in images.items():
        each.put(made, REPOSITORY, tag)
    yield made
    made.stop()


@pytest.fixture(scope="package")
def repository(registry: DebianRegistry) -> str:
    """The name of their repository."""
    return f"{registry.netloc}/{REPOSITORY}"


@pytest.fixture(scope="package")
def expected(room: Path, images: dict[str, Image]) -> Tree:
    """What GNU tar makes of the whole."""
    root = roots.extract(roots.GCC, room / "debian-root")
    try:
        return tree.read(root, without=tree.OF_ENGINE)
    finally:
        shutil.rmtree(root)


@pytest.fixture(autouse=True)
def no_leftovers(nothing_left_by_module: None) -> None:
    """Not after each test."""
