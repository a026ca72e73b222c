"""Patterns of `.dockerignore` and `--exclude`."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import errdefs
from engine.build.ignore import Ignore


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("a", "a", True),
        ("a", "a/b/c", True),
        ("a", "b/a", False),
        ("a/", "a", True),
        ("a/../b", "b", True),
        ("*", "a/b", True),
        ("*.c", "a.c", True),
        ("*.c", "d/a.c", False),
        ("d/*.c", "d/e/a.c", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a[b-d]e", "ace", True),
        ("a[^b-d]e", "aze", True),
        ("a[^b-d]e", "abe", False),
        (r"a\*b", "a*b", True),
        (r"a\*b", "axb", False),
        ("a.b", "axb", False),
        ("**", "a/b", True),
        ("**/c", "c", True),
        ("**/c", "a/b/c/d", True),
        ("**/c", "a/bc", False),
        ("**c", "a/bc", True),
        ("a/**", "a", False),
        ("a/**", "a/b/c", True),
        ("a/**/c", "a/c", True),
        ("a/**/c", "a/b/d/c", True),
        ("a/**/c", "a/bc", False),
        ("**/*.c", "a/b.c/d", True),
        ("**/a*b*", "x/acbd", True),
        ("**/a*b*/**/c", "x/acbd/e/f/c", True),
        ("*é", "éé", True),
        ("*[a-c]*d", "xbyd", True),
    ],
)
def test_a_pattern(pattern: str, path: str, fits: bool) -> None:
    assert Ignore([pattern]).matches(path) is fits


def test_the_last_pattern_decides() -> None:
    ignore = Ignore(["*.md", "!README*.md", "README-secret.md"])
    assert ignore.exceptions
    assert ignore.matches("other.md")
    assert not ignore.matches("README.md")
    assert ignore.matches("README-secret.md")


def test_an_exception_may_be_below_what_is_left_out() -> None:
    ignore = Ignore(["docs", "!docs/keep"])
    assert ignore.matches("docs")
    assert ignore.matches("docs/a")
    assert not ignore.matches("docs/keep/b")


def test_the_root_is_never_meant() -> None:
    assert not Ignore(["**", "."]).matches(".")
    assert not Ignore(["**"]).matches("")


def test_a_file_of_patterns() -> None:
    text = b"\xef\xbb\xbf# comment\n\n  /top/../a/ \r\n! /a/b \n #c\n/\n"
    ignore = Ignore.parse(text)
    assert [(each.text, each.negated) for each in ignore.patterns] == [
        ("a", False),
        ("a/b", True),
        ("#c", False),
        ("/", False),
    ]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("!", 'illegal exclusion pattern: "!"'),
        ("a[", "syntax error in pattern"),
        ("[]a]", "syntax error in pattern"),
    ],
)
def test_a_bad_pattern_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(errdefs.InvalidArgument, match="^" + message.replace("[", r"\[")):
        Ignore([pattern])


def test_no_pattern_takes_long() -> None:
    ignore = Ignore(["**/" + "*a" * 40 + "a**" * 20 + "[^x]*b"])
    start = time.thread_time()
    assert not ignore.matches("a" * 4000)
    assert time.thread_time() - start < 10  # to try each way takes more than anybody has


PIECES = st.lists(st.sampled_from(["a", "b", "/", "*", "**", "?", "[a]", "[^a]", "\\a"]), max_size=8).map(
    "".join
)


def slowly(pattern: str, path: str) -> bool:
    """The same by trying everything."""
    if pattern.startswith("**"):
        rest = pattern[2:].removeprefix("/")
        if not rest:
            return True
        begins = [0, *(at + 1 for at, letter in enumerate(path) if letter == "/")]
        return any(slowly(rest, path[at:]) for at in begins)
    if not pattern:
        return not path
    if pattern[0] == "*":
        ends = [at for at in range(len(path) + 1) if "/" not in path[:at]]
        return any(slowly(pattern[1:], path[at:]) for at in ends)
    if not path:
        return False
    if pattern.startswith("[^a]"):
        return path[0] != "a" and slowly(pattern[4:], path[1:])
    if pattern.startswith("[a]"):
        return path[0] == "a" and slowly(pattern[3:], path[1:])
    if pattern[0] == "\\":
        return path[0] == pattern[1] and slowly(pattern[2:], path[1:])
    fits = path[0] != "/" if pattern[0] == "?" else path[0] == pattern[0]
    return fits and slowly(pattern[1:], path[1:])


@given(PIECES, st.text(alphabet="ab/", min_size=1, max_size=6))
def test_patterns_fit_what_they_describe(pattern: str, path: str) -> None:
    for parsed in Ignore([pattern]).patterns:
        anywhere = parsed.text.startswith("**") and parsed.text[2:3] not in ("", "/")
        if not anywhere and path == path.strip("/"):
            assert parsed.matches(path) == slowly(parsed.text, path)
