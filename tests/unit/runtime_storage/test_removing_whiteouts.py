"""Deletions on a plain copy: what the layer brought stays, and what is remembered of it is bounded."""

from pathlib import Path

import pytest

from errdefs import InvalidArgument
from runtime.layers.whiteouts import RemovingWhiteouts


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a layer is unpacked, on files of the layers below."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    for name in ("lower", "d/lower", "d/own"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_what_the_layer_brought_stays(root: Path) -> None:
    whiteouts = RemovingWhiteouts()
    whiteouts.made(b"d/own")
    whiteouts.hide(b"d")
    whiteouts.hide(b"lower")
    assert sorted(path.name for path in root.rglob("*")) == ["d", "own"]


def test_more_than_is_remembered(root: Path) -> None:
    """Nothing is deleted that may be the layer's own; what is not there and what is remembered is no matter."""
    whiteouts = RemovingWhiteouts(memory=250)
    for name in (b"d/own", b"d/lower", b"lower"):
        whiteouts.made(name)
    whiteouts.hide(b"not there")
    whiteouts.hide(b"d")
    with pytest.raises(InvalidArgument, match="a whiteout after more files"):
        whiteouts.hide(b"lower")
    assert len(list(root.rglob("*"))) == 4
