"""Modes as --chmod takes them, as chmod(1) sets them."""

import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from errdefs import InvalidArgument
from runtime.copying.chmod import parse

_CLAUSE = some.builds(
    "{}{}{}".format,
    some.sampled_from(["", "u", "g", "o", "a", "ug", "go", "ugo"]),
    some.sampled_from("+-="),
    some.sampled_from(["", "r", "w", "x", "rw", "rwx", "s", "u", "g", "o"]),
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("modes") / "file"
    made.write_text("")
    return made


@settings(max_examples=300, deadline=None)
@given(
    mode=some.integers(0, 0o7777).map(lambda mode: mode & ~stat.S_ISVTX),
    clauses=some.lists(_CLAUSE, min_size=1, max_size=3),
)
def test_symbolic_modes_are_those_of_chmod(file: Path, mode: int, clauses: list[str]) -> None:
    """But for "X" and the sticky bit, in which GNU differs from BSD, and so from BuildKit."""
    text = ",".join(clauses)
    os.chmod(file, mode)
    subprocess.run(["sh", "-c", 'umask 0; exec chmod -- "$0" "$1"', text, file], check=True)
    assert oct(parse(text).of(mode, directory=False)) == oct(stat.S_IMODE(file.stat().st_mode)), text


@pytest.mark.parametrize(
    ("text", "mode", "directory", "expected"),
    [
        ("644", 0o4755, False, 0o644),
        ("0", 0o755, True, 0),
        ("07777", 0, False, 0o7777),
        ("a=rX", 0o600, True, 0o555),
        ("a=rX", 0o600, False, 0o444),
        ("a=rX", 0o610, False, 0o555),
        ("u=rwx,go=u-w", 0o000, False, 0o755),
        ("+t", 0o755, True, 0o1755),
    ],
)
def test_a_mode(text: str, mode: int, directory: bool, expected: int) -> None:
    assert parse(text).of(mode, directory=directory) == expected


@pytest.mark.parametrize(
    "text", ["8", "10000", "0o644", "1x", "-1", "u", "x", "u+q", "+r,", "u+x;", "", "u + x"]
)
def test_a_bad_mode_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=f"invalid chmod parameter: '{text}'".replace("+", r"\+")):
        parse(text)
