"""The daemon stays below 100 MB and each of its workers below 60 while an image of 420 MB goes in and out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.images.image import Image
from tests.images.room import roomy_root
from tests.integration.hostile.memory import MAIN, WORKER, Memory
from tests.registries import DebianRegistry

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def fresh() -> Iterator[Wherryd]:
    """A daemon that has done nothing yet: what others' requests left of its memory is not counted."""
    daemon = Wherryd(roomy_root())
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.destroy()


@contextmanager
def bounded(daemon: Wherryd, *, with_workers: bool) -> Iterator[None]:
    """Fail if daemon or worker has more than it may at any moment of the block."""
    memory = Memory(daemon.pid)
    try:
        yield
        main, workers = memory.main, memory.workers
    finally:
        memory.close()
    assert main < MAIN
    assert workers < WORKER
    if with_workers and memory.tells_of_workers:
        assert workers > 0, "none was seen"


def test_out_and_in_again(
    fresh: Wherryd, registry: DebianRegistry, repository: str, images: dict[str, Image], room: Path
) -> None:
    """One layer of 420 MB, compressed by gzip."""
    name, other, archive = f"{repository}:whole", f"{registry.netloc}/memory/whole:1", room / "memory.tar"
    with bounded(fresh, with_workers=True):
        fresh.docker("pull", name)
    fresh.docker("create", "--name", "exported", name)
    with bounded(fresh, with_workers=True):
        fresh.docker("export", "-o", str(archive), "exported")
    fresh.docker("rm", "exported")
    fresh.docker("tag", name, other)
    with bounded(fresh, with_workers=False):
        fresh.docker("push", other)
    with bounded(fresh, with_workers=False):
        fresh.docker("save", "-o", str(archive), name)
    fresh.docker("rmi", name, other)
    with bounded(fresh, with_workers=True):
        fresh.docker("load", "-i", str(archive))
    archive.unlink()
    fresh.docker("run", "--name", "grown", name, "cp", "-a", "/usr", "/copied")
    with bounded(fresh, with_workers=True):
        fresh.docker("commit", "grown", "memory:grown")
    fresh.docker("rm", "grown")
    fresh.docker("rmi", "memory:grown", name)
    with bounded(fresh, with_workers=True):
        fresh.docker("import", str(images["whole"].layers[0].path), "memory:imported")
    fresh.docker("rmi", "memory:imported")


def test_zstd(fresh: Wherryd, repository: str, images: dict[str, Image], room: Path) -> None:
    """Four layers, fetched and unpacked side by side, and out of an OCI layout."""
    with bounded(fresh, with_workers=True):
        fresh.docker("pull", f"{repository}:zstd")
    fresh.docker("rmi", f"{repository}:zstd")
    images["zstd"].write_layout(room / "layout.tar", "docker.io/library/memory:zstd")
    with bounded(fresh, with_workers=True):
        fresh.docker("load", "-i", str(room / "layout.tar"))
    fresh.docker("rmi", "memory:zstd")
    (room / "layout.tar").unlink()
