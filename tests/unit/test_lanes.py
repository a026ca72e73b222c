"""The second run of tests that failed."""

from pathlib import Path

import pytest

from tests import lanes

TESTS = """
import pytest

def test_passes():
    pass

def test_fails():
    assert False

def test_skips():
    pytest.skip("it has nothing to look at")
"""


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (("passes",), 0),
        (("passes", "fails"), 1),
        (("passes", "skips"), 1),
    ],
    ids=str,
)
def test_all_must_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], status: int
) -> None:
    monkeypatch.setattr(lanes, "CACHE", tmp_path / "cache")
    file = tmp_path / "test_file.py"
    file.write_text(TESTS)
    assert lanes.once_more([f"{file}::test_{name}" for name in names]) == status
