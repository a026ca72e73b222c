"""Pulled images of a Debian, by content: the container's tree is the one that tar makes, and its programs run."""

from collections.abc import Iterator

import pytest

from tests.daemon import Wherryd
from tests.images import tree
from tests.images.image import Image
from tests.images.stored import FOUR
from tests.images.tree import Tree
from tests.integration.images.debian.containers import inspect, run_compiler, tree_of_image

pytestmark = pytest.mark.root

PYTHON = """
import ctypes, hashlib, json, sqlite3, ssl
print(json.dumps(sqlite3.connect(":memory:").execute("select 6*7").fetchone()))
"""


@pytest.fixture(autouse=True)
def no_images_left(wherryd: Wherryd, repository: str) -> Iterator[None]:
    """The layers of all are the same: none may find another's."""
    yield
    if names := wherryd.docker("images", "-q", "--no-trunc", repository).stdout.split():
        wherryd.docker("rmi", "-f", *sorted(set(names)))


@pytest.mark.parametrize("tag", ["whole", *FOUR])
def test_the_tree_is_the_one_that_tar_makes(
    wherryd: Wherryd, repository: str, images: dict[str, Image], expected: Tree, tag: str
) -> None:
    said = wherryd.docker("pull", f"{repository}:{tag}").stdout
    assert said.count("Pull complete") == len(images[tag].layers)
    assert f"Digest: {images[tag].digest}" in said
    assert tree.differences(expected, tree_of_image(wherryd, f"{repository}:{tag}")) == []
    found = inspect(wherryd, f"{repository}:{tag}")
    assert (found["Id"], found["RootFS"]["Layers"]) == (images[tag].id, images[tag].diff_ids)


def test_programs_run(wherryd: Wherryd, repository: str) -> None:
    wherryd.docker("pull", f"{repository}:split")
    assert wherryd.docker("run", "--rm", f"{repository}:split", "python3", "-c", PYTHON).stdout == "[42]\n"
    run_compiler(wherryd, f"{repository}:split")


def test_by_digest(wherryd: Wherryd, repository: str, images: dict[str, Image]) -> None:
    """It has no tag; the tag that comes later brings nothing new."""
    name = f"{repository}@{images['base'].digest}"
    assert f"Status: Downloaded newer image for {name}" in wherryd.docker("pull", name).stdout
    found = inspect(wherryd, name)
    assert (found["RepoTags"], found["RepoDigests"]) == ([], [name])
    assert wherryd.docker("run", "--rm", name, "dpkg", "--audit").stdout == ""
    again = wherryd.docker("pull", f"{repository}:base").stdout
    assert "Pulling fs layer" not in again
    assert inspect(wherryd, f"{repository}:base")["Id"] == found["Id"] == images["base"].id
    other = f"{repository}@{images['split'].digest[:-4]}0000"
    refused = wherryd.docker("pull", other, check=False)
    assert (refused.returncode, "manifest unknown" in refused.stderr) == (1, True)
