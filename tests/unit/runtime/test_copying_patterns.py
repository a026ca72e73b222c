"""Patterns on a walk: what is matched below what is matched, and where it is worth looking."""

import pytest

from errdefs import InvalidArgument
from runtime.copying.patterns import Patterns
from runtime.copying.selection import is_pattern


def matches(patterns: list[str], path: str) -> bool:
    """Walk down to a path."""
    them = Patterns(patterns)
    matched, state = False, them.nothing
    names = path.split("/")
    for end in range(1, len(names) + 1):
        matched, state = them.match("/".join(names[:end]), state)
    return matched


@pytest.mark.parametrize(
    ("patterns", "path", "expected"),
    [
        (["a"], "a/b/c", True),
        (["a/b"], "a", False),
        (["*"], "a/b", True),
        (["*/c"], "a/b/c", False),
        (["**/c"], "a/b/c", True),
        (["**/c"], "c", True),
        (["a", "!a/b"], "a/b/c", False),
        (["a", "!a/b"], "a/c", True),
        (["!a", "a/b"], "a/b", True),
        ([" a ", ""], "a", True),
        (["./a//b/"], "a/b", True),
    ],
)
def test_a_path(patterns: list[str], path: str, expected: bool) -> None:
    assert matches(patterns, path) is expected


@pytest.mark.parametrize(
    ("pattern", "directory", "expected"),
    [
        ("a/b/c", "a", True),
        ("a/b/c", "a/b", True),
        ("a/b/c", "a/c", False),
        ("a/b", "a/b/c", False),
        ("a/*/c", "a/x", True),
        ("a/*/c", "b", False),
        ("**/c", "x/y/z", True),
        ("a/**", "a/b/c", True),
        ("!a/b", "a", False),
    ],
)
def test_where_something_may_be_matched(pattern: str, directory: str, expected: bool) -> None:
    assert Patterns([pattern]).reaches(directory) is expected


@pytest.mark.parametrize("pattern", ["[", "a[b", "!", "\\"])
def test_a_malformed_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidArgument):
        Patterns([pattern])


@pytest.mark.parametrize(
    ("path", "expected"),
    [("a", False), ("*", True), ("a?", True), ("[a]", True), ("\\*", False), ("\\\\*", True), ("a]", False)],
)
def test_what_is_a_pattern(path: str, expected: bool) -> None:
    assert is_pattern(path) is expected
