import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import errdefs
from engine import ids, names


def test_an_id_is_64_hex_digits_and_its_short_form_is_no_number() -> None:
    made = {ids.new_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch("[0-9a-f]{64}", one) and not one[:12].isdecimal() for one in made)


def test_short_drops_the_algorithm() -> None:
    assert ids.short("sha256:" + "ab" * 32) == "ab" * 6


@pytest.mark.parametrize("name", ["web", "/web", "a.b_c-d", "0x", "A1"])
def test_valid_names(name: str) -> None:
    assert names.require_valid(name) == name.lstrip("/")


@pytest.mark.parametrize("name", ["", "a", "-a", "a b", "a/b", "//ab", "ab\n", "é1", "_x"])
def test_invalid_names_are_refused_in_dockers_words(name: str) -> None:
    with pytest.raises(errdefs.InvalidArgument) as refused:
        names.require_valid(name)
    assert refused.value.message == (
        f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )


def test_made_up_names_are_valid_and_avoid_those_that_are_taken() -> None:
    seen: list[str] = []

    def taken(name: str) -> bool:
        seen.append(name)
        return len(seen) < 3

    name = names.generate(taken, "fallback")
    assert name == seen[2]
    assert re.fullmatch("[a-z]+_[a-z]+[0-9]", name)
    assert names.require_valid(name) == name


def test_a_made_up_name_falls_back_when_all_are_taken() -> None:
    assert names.generate(lambda _: True, "0123456789ab") == "0123456789ab"


@given(st.text())
def test_a_name_is_accepted_or_refused_never_anything_else(name: str) -> None:
    try:
        assert re.fullmatch(r"[a-zA-Z0-9_.-]{2,}", names.require_valid(name))
    except errdefs.InvalidArgument:
        pass
