"""Trees that others filled, removed and walked."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from errdefs import Conflict
from runtime import tree
from runtime.tree import Move


@pytest.mark.parametrize("threads", [1, 4])
def test_all_of_a_tree_is_removed_and_nothing_else(tmp_path: Path, threads: int) -> None:
    """Wide, deeper than a path reaches, with links out of it."""
    root = tmp_path / "tree"
    for number in range(600):
        (root / f"wide{number}").mkdir(parents=True)
        (root / f"wide{number}" / "file").touch()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (root / "wide0" / "link").symlink_to(outside)
    here = os.open(root, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    with ThreadPoolExecutor(threads) as executor:
        tree.remove(root, map if threads == 1 else executor.map)
    assert os.listdir(tmp_path) == ["outside"]
    assert os.listdir(outside) == ["kept"]
    tree.remove(root)


def test_a_walk_leaves_out_what_is_not_wanted(tmp_path: Path) -> None:
    for path in ("a/b/c", "a/x", "d/e"):
        (tmp_path / path).mkdir(parents=True)
    asked: list[str] = []

    def into(path: str) -> bool:
        asked.append(path)
        return path.startswith("/a")

    steps = [(step.move, step.name) for step in tree.walk(tmp_path, into)]
    assert asked == ["/a", "/a/b", "/a/b/c", "/a/x", "/d"]
    assert [name for move, name in steps if move is Move.ENTER] == ["a", "b", "c", "x", "d"]
    assert [name for move, name in steps if move is Move.LEAVE] == ["c", "b", "x", "a", "d"]


def test_a_walk_comes_back_from_what_was_moved(tmp_path: Path) -> None:
    """A container moves a directory that its tree's reader is in: the reader goes on where it had come from."""
    (tmp_path / "tree/a/b/c").mkdir(parents=True)
    (tmp_path / "tree/a/later").touch()
    (tmp_path / "away").mkdir()
    seen = []
    for step in tree.walk(tmp_path / "tree"):
        seen.append((step.move, step.name))
        if (step.move, step.name) == (Move.ENTER, "c"):
            (tmp_path / "tree/a/b").rename(tmp_path / "away/b")
    assert (Move.OBJECT, "later") in seen
    assert seen[-1] == (Move.LEAVE, "a")


def test_a_walk_is_never_led_out(tmp_path: Path) -> None:
    """Deeper than descriptors are held, where ".." leads somewhere else now."""
    deep = tmp_path.joinpath("tree", *map(str, range(40)))
    deep.mkdir(parents=True)
    (tmp_path / "away").mkdir()

    def moving() -> None:
        for step in tree.walk(tmp_path / "tree"):
            if (step.move, step.name) == (Move.ENTER, "39"):
                (tmp_path / "tree/0/1/2").rename(tmp_path / "away/2")

    with pytest.raises(Conflict, match="was moved"):
        moving()
