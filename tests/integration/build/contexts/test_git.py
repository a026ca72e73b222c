"""Contexts and sources from git repositories, by a git daemon of this machine."""

import os
from pathlib import Path

import pytest

from engine.build.contexts.contexts import Contexts
from engine.build.steps import GitSource
from errdefs import InvalidArgument
from tests.integration.build.contexts.conftest import git

pytestmark = pytest.mark.root
X = ["dir", "f", "module", "out", "up"]


async def test_a_repository_with_its_submodules(contexts: Contexts, repositories: tuple[str, Path]) -> None:
    url, _ = repositories
    async with contexts.from_remote(f"{url}/x.git", None) as fetched:
        assert sorted(os.listdir(fetched.directory)) == [".gitmodules", *X]
        assert (fetched.directory / "module/f").read_text() == "sub.git 1\n"
        assert os.listdir(fetched.directory / "module") == ["f"]
        assert (fetched.directory / "f").stat().st_mode & 0o777 == 0o644
        assert [path.name for path in fetched.directory.parent.iterdir()] == ["checkout"]


@pytest.fixture
def first(repositories: tuple[str, Path]) -> str:
    """The number of the first commit."""
    return git(repositories[1] / "x.git", "rev-parse", "heavy^{commit}")


@pytest.mark.parametrize(
    ("ref", "content"),
    [
        ("main", "2"),
        ("refs/heads/other", "2"),
        ("heavy", "1"),
        ("refs/tags/light", "1"),
        ("light", "2"),  # the branch of that name
        ("{first}", "1"),
    ],
)
async def test_a_ref(
    contexts: Contexts, repositories: tuple[str, Path], first: str, ref: str, content: str
) -> None:
    url, _ = repositories
    async with contexts.git(GitSource(url=f"{url}/x.git#{ref.format(first=first)}"), None) as directory:
        assert (directory / "f").read_text() == f"x.git {content}\n"


async def test_a_directory_of_a_repository(contexts: Contexts, repositories: tuple[str, Path]) -> None:
    url, _ = repositories
    async with contexts.git(GitSource(url=f"{url}/x.git#:dir/deep"), None) as directory:
        assert os.listdir(directory) == ["g"]


@pytest.mark.parametrize(
    "path", ["out", "up", "up/contexts", "nothing", "f", "../../..", "dir/../../..", ".git"]
)
async def test_no_directory_is_outside(contexts: Contexts, repositories: tuple[str, Path], path: str) -> None:
    url, _ = repositories
    try:
        async with contexts.git(GitSource(url=f"{url}/x.git#:{path}"), None) as directory:
            assert sorted(os.listdir(directory)) == [".gitmodules", *X]
    except InvalidArgument as error:
        assert "of the repository" in error.message  # noqa: PT017  a name within it is none


async def test_the_git_directory_is_kept_where_it_is_wanted(
    contexts: Contexts, repositories: tuple[str, Path], first: str
) -> None:
    url, _ = repositories
    async with contexts.git(GitSource(url=f"{url}/x.git#{first}", keep_git_dir=True), None) as directory:
        assert git(directory, "-c", "safe.directory=*", "rev-parse", "HEAD") == first
        hooks = directory / ".git/hooks"
        assert not hooks.exists() or all(path.suffix == ".sample" for path in hooks.iterdir())


async def test_a_checksum(contexts: Contexts, repositories: tuple[str, Path], first: str) -> None:
    url, _ = repositories
    async with contexts.git(GitSource(url=f"{url}/x.git?ref=heavy&checksum={first[:12]}"), None) as directory:
        assert (directory / "f").read_text() == "x.git 1\n"
    with pytest.raises(InvalidArgument, match="expected checksum to match"):
        async with contexts.git(GitSource(url=f"{url}/x.git?ref=main&checksum={first}"), None):
            pass


@pytest.mark.parametrize("name", ["x.git#nothing", "none.git", "x.git#" + "0" * 40])
async def test_what_is_not_there(contexts: Contexts, repositories: tuple[str, Path], name: str) -> None:
    url, _ = repositories
    with pytest.raises(InvalidArgument, match=r"failed to fetch remote|does not contain ref"):
        async with contexts.git(GitSource(url=f"{url}/{name}"), None):
            pass


async def test_no_password_is_told(contexts: Contexts) -> None:
    with pytest.raises(InvalidArgument) as raised:
        async with contexts.git(GitSource(url="http://me:hidden@127.0.0.1:1/x.git"), None):
            pass
    assert "hidden" not in raised.value.message
    assert "http://127.0.0.1:1/x.git" in raised.value.message


async def test_a_submodule_is_no_way_to_files_of_the_host(
    contexts: Contexts, repositories: tuple[str, Path], tmp_path: Path
) -> None:
    url, place = repositories
    git(place / "x.git", "config", "-f", ".gitmodules", "submodule.module.url", f"file://{place}/sub.git")
    git(place / "x.git", "commit", "-qam", "three")
    with pytest.raises(InvalidArgument, match="transport 'file' not allowed"):
        async with contexts.git(GitSource(url=f"{url}/x.git"), None):
            pass
    async with contexts.git(GitSource(url=f"{url}/x.git?submodules=false"), None) as directory:
        assert os.listdir(directory / "module") == []


async def test_nothing_of_a_repository_is_executed(
    contexts: Contexts, repositories: tuple[str, Path], tmp_path: Path
) -> None:
    url, place = repositories
    x = place / "x.git"
    mark = tmp_path / "executed"
    (x / ".gitattributes").write_text("* filter=bad diff=bad\n")
    (x / ".gitconfig").write_text(f'[filter "bad"]\n\tsmudge = touch {mark}\n')
    (x / "hooks").mkdir()
    (x / "hooks/post-checkout").write_text(f"#!/bin/sh\ntouch {mark}\n")
    (x / "hooks/post-checkout").chmod(0o755)
    git(x, "add", ".")
    git(x, "commit", "-qm", "three")
    async with contexts.git(GitSource(url=f"{url}/x.git", keep_git_dir=True), None):
        pass
    assert not mark.exists()
