"""What is added from repositories is found in the cache by its commit."""

import shutil
from pathlib import Path

import pytest

from tests.integration.build.contexts.conftest import git, repositories
from tests.integration.build.solving.builder import Builder

pytestmark = pytest.mark.root
__all__ = ["repositories"]


@pytest.mark.parametrize("options", ["", "--keep-git-dir=true "])
async def test_a_commit_that_is_known_is_not_fetched_again(
    builder: Builder, repositories: tuple[str, Path], options: str
) -> None:
    url, place = repositories
    commit = git(place / "x.git", "rev-parse", "HEAD")
    text = f"FROM busybox\nADD {options}{url}/x.git#{commit} /src/\n"
    first = await builder.build(text)
    shutil.rmtree(place / "x.git")
    again = await builder.build(text)
    assert first.only.ref == again.only.ref
    added = [name for name in builder.seen.names() if name.startswith("[") and "ADD" in name]
    assert len(added) == 1
    assert added[0] in builder.seen.cached()
