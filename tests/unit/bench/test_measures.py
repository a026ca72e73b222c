"""The benchmark's arithmetic: medians, ratios, targets, and the table of them."""

import pytest

from tests.bench.measures import MEASURES, Measure, number, row, table

LESS = Measure("run", "ms", 0.5)
MORE = Measure("write", "MB/s", 5, more=True)


def of(ours: list[float], theirs: list[float]) -> dict[str, list[float]]:
    return {"wherry": ours, "dockerd": theirs}


def test_a_ratio_is_that_of_the_medians() -> None:
    assert LESS.ratio(of([1, 9, 2], [4, 4, 100])) == 0.5


@pytest.mark.parametrize("samples", [{}, of([1], []), of([], [1]), of([1], [0]), {"wherry": [1]}])
def test_there_is_no_ratio_without_both(samples: dict[str, list[float]]) -> None:
    assert LESS.ratio(samples) is None
    assert LESS.met(samples) is None


@pytest.mark.parametrize(
    ("measure", "ours", "met"),
    [(LESS, 49, True), (LESS, 50, True), (LESS, 51, False), (MORE, 499, False), (MORE, 500, True)],
)
def test_a_target_is_reached_from_its_side(measure: Measure, ours: float, met: bool) -> None:
    assert measure.met(of([ours], [100])) is met


def test_a_limit_is_wherrys_alone() -> None:
    within = Measure("list", "ms", limit=50)
    assert (within.met({"wherry": [50]}), within.met({"wherry": [51]})) == (True, False)
    assert "≤ 50 ms | yes" in row(within, {"wherry": [9]})


def test_a_figure_without_a_target_is_neither() -> None:
    assert Measure("kill", "ms").met(of([1], [2])) is None


def test_the_best_is_the_least_or_the_most() -> None:
    assert (LESS.best([2, 1, 3]), MORE.best([2, 1, 3])) == (1, 3)


@pytest.mark.parametrize(
    ("value", "text"), [(0.123, "0.12"), (1, "1.00"), (12.34, "12.3"), (123.4, "123"), (1234.5, "1234")]
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_rows() -> None:
    assert row(LESS, of([1, 3], [4])) == "| run, ms | 2.00 (1.00) | 4.00 | 0.50 | ≤ 0.5 | yes |"
    assert row(MORE, of([3, 5], [2])) == "| write, MB/s | 4.00 (5.00) | 2.00 | 2.00 | ≥ 5 | **missed** |"
    assert row(LESS, {"wherry": [1]}) == "| run, ms | 1.00 | – | – | ≤ 0.5 |  |"


def test_the_table_has_what_was_measured_in_its_own_order() -> None:
    measured = {name: of([1], [2]) for name in reversed(list(MEASURES)[:3])}
    rows = [line.split(" | ")[0] for line in table(measured).splitlines()[2:]]
    assert rows == [f"| {measure.what}, {measure.unit}" for measure in list(MEASURES.values())[:3]]
