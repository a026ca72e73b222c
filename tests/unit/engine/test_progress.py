"""Progress as Docker draws it."""

import pytest

from engine.progress import bar, human_size


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (36445, "36.45kB"), (1134713, "1.135MB"), (10**30, "1e+06YB")],
)
def test_sizes(size: int, shown: str) -> None:
    assert human_size(size) == shown


@pytest.mark.parametrize(
    ("current", "total", "drawn"),
    [
        (0, 0, ""),
        (5, 0, "      5B"),
        (141, 141, "[" + "=" * 50 + ">]     141B/141B"),
        (36445, 1134713, "[=>" + " " * 49 + "]  36.45kB/1.135MB"),
        (20, 10, "[" + "=" * 50 + ">]      20B"),
    ],
)
def test_bars(current: int, total: int, drawn: str) -> None:
    assert bar(current, total) == drawn
