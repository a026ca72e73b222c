"""What the disk is told to begin with."""

import os
from pathlib import Path

import pytest

from runtime import writeback
from runtime.writeback import STRIDE, Ahead


def test_it_is_told_of_each_part_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int, int]] = []
    monkeypatch.setattr(writeback, "begin", lambda *part: told.append(part))
    ahead = Ahead(7)
    for size in (1, STRIDE - 1, STRIDE, STRIDE + 1, 3 * STRIDE + 5, 3 * STRIDE + 6):
        ahead.reached(size)
    assert told == [(7, 0, STRIDE), (7, STRIDE, 3 * STRIDE + 5)]


def test_it_changes_nothing(tmp_path: Path) -> None:
    content = os.urandom(100_000)
    with (tmp_path / "file").open("w+b") as file:
        file.write(content)
        writeback.begin(file.fileno(), 0, len(content))
    assert (tmp_path / "file").read_bytes() == content
    reading, writing = os.pipe()
    writeback.begin(writing, 0, 1)  # which cannot be told, and need not
    os.close(reading)
    os.close(writing)
