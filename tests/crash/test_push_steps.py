"""kill -9 at each step of a push: nothing is left of it here, and another one sends only what is missing."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.images import compressing, push, uploading
from tests.crash.dying import is_killed_by
from tests.crash.image_store import stored
from tests.daemon import Wherryd
from tests.integration.images.archives import Made, docker_archive, tar
from tests.registries import DebianRegistry, digest_of, missing

pytestmark = pytest.mark.root

STEPS = [f"push.{step}" for step in (*compressing.STEPS, *push.STEPS, *uploading.STEPS)]
LAYERS = [tar({"large": random.Random(3).randbytes(3 << 20)}), tar({"small": b"small\n"})]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DebianRegistry]:
    """An empty one."""
    if reason := missing():
        pytest.skip(reason)
    made = DebianRegistry(tmp_path / "registry")
    made.start()
    yield made
    made.stop()


def dies(mortal: Wherryd, point: str, name: str) -> None:
    """The daemon dies of the push (a point that is never hit fails here), and is started again."""
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("push", name, check=False))


def there(registry: DebianRegistry) -> int:
    """How many blobs it has."""
    return len(list((registry.root / "data").glob("docker/registry/v2/blobs/sha256/*/*/data")))


def require_whole(mortal: Wherryd, before: set[str]) -> None:
    """The image's layers are plain, as they came, or each has given way to its compressed self, for good."""
    after = stored(mortal)
    plain = {f"content/blobs/sha256/{digest_of(layer).removeprefix('sha256:')}" for layer in LAYERS}
    gone, new = before - after, after - before
    assert not gone or (plain < gone and len(gone) == len(new) == len(plain) + 1), (
        "the manifest tells of them"
    )
    assert all(path.startswith("content/blobs/") for path in new)


@pytest.mark.parametrize("point", STEPS)
def test_push(mortal: Wherryd, registry: DebianRegistry, point: str) -> None:
    name = f"{registry.netloc}/to/push:1"
    made = Made(LAYERS, [name])
    empty = stored(mortal)
    mortal.docker("load", "-q", stdin=docker_archive(made))
    before = stored(mortal)
    dies(mortal, point, name)
    require_whole(mortal, before)
    arrived = there(registry)
    said = mortal.docker("push", name).stdout
    require_whole(mortal, before)
    assert said.count(": Layer already exists") == min(arrived, 2)
    assert said.count(": Pushed") == 2 - min(arrived, 2)
    again = mortal.docker("push", name).stdout
    assert again.splitlines()[-1] == said.splitlines()[-1], "the digest is the same"
    mortal.docker("rmi", name)
    assert stored(mortal) == empty
    mortal.docker("pull", name)
    assert mortal.get(f"/images/{name}/json").json["Id"] == made.id
    mortal.docker("rmi", name)
    assert stored(mortal) == empty
