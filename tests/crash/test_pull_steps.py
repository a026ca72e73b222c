"""kill -9 at each step of a pull: the image is whole or absent, and another pull fetches only what is missing."""

import gzip
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.images import fetching, pull, registration, transfer
from tests.crash.dying import is_killed_by
from tests.crash.image_store import stored
from tests.daemon import Wherryd
from tests.integration.images.archives import tar
from tests.registries import DebianRegistry, digest_of, missing

pytestmark = pytest.mark.root

STEPS = [f"pull.{step}" for step in (*pull.STEPS, *fetching.STEPS, *transfer.STEPS, *registration.STEPS)]
FETCHED = {"pull.blob": 1, "pull.layer": 1, **{f"pull.{step}": 2 for step in registration.STEPS}}
"""How many layers at least are there at a step."""


@pytest.fixture(scope="module")
def name(session_root: Path, busybox_tar: Path) -> Iterator[str]:
    """An image of two layers in a registry, by its name."""
    if reason := missing():
        pytest.skip(reason)
    registry = DebianRegistry(session_root / "registry-crash")
    registry.start()
    layers = [busybox_tar.read_bytes(), tar({"large": random.Random(8).randbytes(2 << 20)})]
    registry.put_image(
        "to/pull",
        "1",
        [gzip.compress(layer, 1, mtime=0) for layer in layers],
        rootfs={"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
    )
    yield f"{registry.netloc}/to/pull:1"
    registry.stop()


def there(mortal: Wherryd) -> bool:
    tags = {tag for image in mortal.get("/images/json?all=1").json for tag in image["RepoTags"] or ["<none>"]}
    assert "busybox:latest" in tags
    assert all(tag.endswith("/to/pull:1") for tag in tags - {"busybox:latest"})
    return len(tags) > 1


@pytest.mark.parametrize("point", STEPS)
def test_pull(mortal: Wherryd, name: str, point: str) -> None:
    before = stored(mortal)
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("pull", name))
    if not there(mortal):
        kept = {path for path in stored(mortal) - before if path.startswith("content/retained/")}
        whole = {path.removesuffix(".whole") for path in kept if path.endswith(".whole")}
        blobs = {path.replace("retained", "blobs/sha256") for path in whole}
        assert stored(mortal) - before == kept | blobs
        assert len(whole) >= FETCHED.get(point, 0)
        assert kept or point != "pull.part", "what came before the daemon died is there"
        assert mortal.docker("pull", name).stdout.count("Verifying Checksum") == 2 - len(whole)
    assert mortal.docker("run", "--rm", name, "echo", "whole").stdout == "whole\n"
    mortal.docker("rmi", name)
    assert stored(mortal) == before
