"""Storage needs no daemon: what may be left here is mounts, processes and descriptors of the test's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import tree
from runtime.mount import mountinfo
from tests.own_process import nothing_left


@pytest.fixture(autouse=True)
def no_leftovers(tmp_path: Path) -> Iterator[None]:
    """Fail a test that leaves a mount, a child process or a descriptor."""
    with nothing_left():
        yield
    assert not [entry.target for entry in mountinfo() if entry.target.startswith(str(tmp_path))]


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """A root, with a canary beside it that must be the same afterwards."""
    root = tmp_path / "root"
    root.mkdir()
    canary = tmp_path / "canary"
    (canary / "etc").mkdir(parents=True)
    (canary / "etc" / "passwd").write_text("canary")
    before = fingerprint(canary)
    yield root
    assert fingerprint(canary) == before
    assert sorted(path for path in os.listdir(tmp_path) if path != "blob") == ["canary", "root"]
    tree.remove(root)


def fingerprint(root: Path) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for path in (root, *sorted(root.rglob("*"))):
        at = path.lstat()
        text = path.read_bytes() if path.is_file() else b""
        found.append((str(path), at.st_mode, at.st_uid, at.st_nlink, at.st_mtime_ns, at.st_ctime_ns, text))
    return found
