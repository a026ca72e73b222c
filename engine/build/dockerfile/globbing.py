"""Patterns of a shell's substitutions: `?` is any character, `*` any number of them, neither of them a line feed.

They become expressions that take time in proportion to the text: what comes between two stars is looked for once.
"""

import re

import errdefs

_STAR, _ANY = object(), object()
_Token = str | object


def trimmed(value: str, pattern: str, *, longest: bool, end: bool) -> str:
    """Without its longest or shortest beginning, or end, that matches. InvalidArgument for a bad pattern."""
    tokens = _tokens(pattern)
    if not end:
        match = _expression(tokens, longest=longest).match(value)
        return value[match.end() :] if match else value
    match = _expression(tokens[::-1], longest=longest).match(value[::-1])
    return value[: len(value) - match.end()] if match else value


def replaced(value: str, pattern: str, replacement: str, *, everywhere: bool) -> str:
    """With the first match, or every one, replaced by a text."""
    expression = _expression(_tokens(pattern), longest=True)
    return expression.sub(lambda _: replacement, value, count=0 if everywhere else 1)


def _tokens(pattern: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "\\" and pattern[at : at + 1] not in ("}", "/"):
            char = pattern[at : at + 1]
            if char not in ("*", "?", "\\") or not char:
                problem = f"invalid escape '\\{char}'"
                raise errdefs.InvalidArgument(f"invalid pattern ({pattern}) in substitution: {problem}")
            at += 1
            tokens.append(char)
        elif char != "\\":
            tokens.append({"*": _STAR, "?": _ANY}.get(char, char))
    return tokens


def _expression(tokens: list[_Token], *, longest: bool) -> re.Pattern[str]:
    """The first place of each part is as good as any later one, so none is tried twice (an atomic group); but the
    last part may be as far away as it can.
    """
    segments = [""]
    for token in tokens:
        if token is _STAR:
            segments.append("")
        else:
            segments[-1] += "." if token is _ANY else re.escape(str(token))
    first, *others = segments
    stars = [f"(?>.*?{segment})" for segment in others[:-1]]
    last = [("(?>.*" if longest else "(?>.*?") + others[-1] + ")"] if others else []
    return re.compile(first + "".join([*stars, *last]))
