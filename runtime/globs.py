"""Patterns as Go's path.Match takes them: stars and question marks stop at slashes. Pure."""

from collections.abc import Callable

import errdefs

_Test = Callable[[str], bool] | None  # None is a star


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text fits the pattern. InvalidArgument: "syntax error in pattern"."""
    tests = _tests(pattern)
    at, position = 0, 0
    star, resume = -1, 0
    while position < len(text):
        test = tests[at] if at < len(tests) else _never
        if test is None:
            star, resume = at, position
            at += 1
        elif test(text[position]):
            at += 1
            position += 1
        elif star >= 0 and text[resume] != "/":
            resume += 1
            at, position = star + 1, resume
        else:
            return False
    return all(test is None for test in tests[at:])


def _tests(pattern: str) -> list[_Test]:
    tests: list[_Test] = []
    position = 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*":
            tests.append(None)
        elif char == "?":
            tests.append(_not_slash)
        elif char == "[":
            test, position = group(pattern, position)
            tests.append(test)
        else:
            literal, position = _literal(pattern, position - 1)
            tests.append(literal.__eq__)
    return tests


def group(pattern: str, position: int) -> tuple[Callable[[str], bool], int]:
    """What fits the characters whose "[" is right before the position, and the position after its "]"."""
    negated = pattern[position : position + 1] == "^"
    position += negated
    ranges: list[tuple[str, str]] = []
    while pattern[position : position + 1] != "]" or not ranges:
        if pattern[position : position + 1] in ("-", "]"):
            raise errdefs.InvalidArgument("syntax error in pattern")
        low, position = _literal(pattern, position)
        high = low
        if pattern[position : position + 1] == "-":
            high, position = _literal(pattern, position + 1)
        ranges.append((low, high))
    return lambda char: any(low <= char <= high for low, high in ranges) != negated, position + 1


def _literal(pattern: str, position: int) -> tuple[str, int]:
    if pattern[position : position + 1] == "\\":
        position += 1
    if position >= len(pattern):
        raise errdefs.InvalidArgument("syntax error in pattern")
    return pattern[position], position + 1


def _not_slash(char: str) -> bool:
    return char != "/"


def _never(_: str) -> bool:
    return False
