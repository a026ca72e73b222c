import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import errdefs
from engine.filters import Filters, parse

ALLOWED = frozenset({"label", "name", "dangling"})


@pytest.mark.parametrize("raw", [None, "", "{}", "null"])
def test_nothing_filters_nothing(raw: str | None) -> None:
    filters = parse(raw, ALLOWED)
    assert not filters
    assert filters.exact("name", "x")
    assert filters.labels("label", {})
    assert not filters.any_label("label", {"a": "b"})


@pytest.mark.parametrize("raw", ['{"name":["a","b"]}', '{"name":{"a":true,"b":true}}'])
def test_both_forms_mean_the_same(raw: str | None) -> None:
    filters = parse(raw, ALLOWED)
    assert filters.values("name") == ["a", "b"]
    assert filters.exact("name", "a")
    assert not filters.exact("name", "c")


def test_a_value_of_false_matches_nothing() -> None:
    assert not parse('{"name":{"a":false}}', ALLOWED).exact("name", "a")


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(errdefs.InvalidArgument, match=r"^invalid filter 'nosuch'$"):
        parse('{"nosuch":["a"]}', ALLOWED)


@pytest.mark.parametrize(
    "raw",
    ["[]", "{", '"a"', '{"name":"a"}', '{"name":[1]}', '{"name":{"a":"b"}}', "1", "[" * 100_000, "\udcff"],
)
def test_what_is_no_filter_is_refused(raw: str | None) -> None:
    with pytest.raises(errdefs.InvalidArgument, match=r"^invalid filter$"):
        parse(raw, ALLOWED)


def test_labels_are_joined_by_and() -> None:
    filters = Filters.of(label=["a=1", "b"])
    assert filters.labels("label", {"a": "1", "b": "2"})
    assert not filters.labels("label", {"a": "1"})
    assert not filters.labels("label", {"a": "2", "b": ""})
    assert not filters.labels("label", None)
    assert filters.any_label("label", {"b": "x"})


def test_fuzzy_is_by_prefix() -> None:
    filters = Filters.of(name=["exec_create"])
    assert filters.fuzzy("name", "exec_create: ls")
    assert not filters.fuzzy("name", "pre exec_create")


def test_match_is_by_expression() -> None:
    assert Filters.of(name=["^/?web[0-9]+$"]).match("name", "web12")
    assert Filters.of(name=["eb"]).match("name", "web")
    assert not Filters.of(name=["(", "^x"]).match("name", "web")


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|a)*b", "a*a*a*a*a*a*a*b", "(a{1,30}){1,30}$", "a" * 10_000]
)
def test_an_expression_that_could_take_forever_matches_nothing(pattern: str) -> None:
    assert not Filters.of(name=[pattern]).match("name", "a" * 60 + "!")


@pytest.mark.parametrize(
    ("values", "expected"), [(["1"], True), (["true"], True), (["0"], False), (["false"], False)]
)
def test_booleans(values: list[str], expected: bool) -> None:
    assert Filters.of(dangling=values).boolean("dangling", not expected) is expected


@pytest.mark.parametrize("values", [["x"], ["1", "0"], ["true", "false"]])
def test_booleans_that_make_no_sense(values: list[str]) -> None:
    with pytest.raises(errdefs.InvalidArgument) as refused:
        Filters.of(dangling=values).boolean("dangling", False)
    assert refused.value.message == f"invalid filter 'dangling=[{' '.join(values)}]'"


def test_a_boolean_without_a_value_is_refused_and_a_missing_one_is_the_default() -> None:
    with pytest.raises(errdefs.InvalidArgument, match=r"^invalid filter 'dangling'$"):
        Filters({"dangling": {}}).boolean("dangling", True)
    assert Filters().boolean("dangling", True) is True


@given(st.text())
def test_any_text_is_a_filter_or_refused(raw: str | None) -> None:
    try:
        parse(raw, ALLOWED)
    except errdefs.InvalidArgument:
        pass


@given(
    st.dictionaries(st.sampled_from(sorted(ALLOWED)), st.lists(st.text(max_size=5), max_size=4)), st.text()
)
def test_any_filter_answers_every_question(fields: dict[str, list[str]], source: str) -> None:
    filters = parse(json.dumps(fields), ALLOWED)
    for key in ALLOWED:
        if filters.exact(key, source):
            assert filters.fuzzy(key, source)
            assert filters.match(key, source)
