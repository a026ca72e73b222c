"""A daemon, a registry that gives anything, and a canary."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.integration.hostile.doors import Gate
from tests.integration.hostile.shelf import Serving, Shelf
from tests.roots import make_root


@pytest.fixture(scope="session")
def canary() -> Iterator[Path]:
    """A tree that nobody has to touch."""
    root = make_root("canary-")
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text("canary:x:0:0::/:\n")
    (root / "link").symlink_to("etc")
    yield root
    shutil.rmtree(root)


@pytest.fixture(autouse=True)
def no_leftovers(nothing_left_by_module: None) -> None:
    """Look at the whole world once for a file: it takes longer than most tests here, and `gate` looks at the stores."""


@pytest.fixture
def gate(wherryd: Wherryd, canary: Path) -> Iterator[Gate]:
    """Bring things in; at the end all must be as it was."""
    shelf = Shelf()
    serving = Serving(shelf)
    made = Gate(wherryd, shelf, canary)
    try:
        with made.unharmed():
            yield made
    finally:
        serving.close()
