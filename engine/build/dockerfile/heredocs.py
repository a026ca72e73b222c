"""`<<name` in a line: where the content of a heredoc ends, and how it is taken."""

import re

import msgspec

import errdefs
from engine.build.dockerfile import expand
from engine.build.dockerfile.values import Heredoc
from engine.build.dockerfile.word import Reading

_HEREDOC = re.compile(r"(\d*)<<(-?)\s*([^<]*)", re.ASCII)
_MAX_DESCRIPTOR = 2**31
_WORD = Reading(keep_unset=True)
_QUOTED = msgspec.structs.replace(_WORD, raw_quotes=True)
_LINE = msgspec.structs.replace(_QUOTED, raw_escapes=True)


def parse(word: str) -> Heredoc | None:
    """The heredoc that a word begins, still without content; None if it begins none. InvalidArgument for a bad name."""
    match = _HEREDOC.fullmatch(word)
    if match is None or not match[3]:
        return None
    names = expand.split(expand.pieces(match[3], {}, _WORD))
    if len(names) != 1:
        return None
    written = expand.split(expand.pieces(match[3], {}, _QUOTED))[0]
    descriptor = min(int(match[1][:20] or 0), _MAX_DESCRIPTOR)
    return Heredoc(names[0], "", _quotes(written) == _quotes(names[0]), match[2] == "-", descriptor)


def of_line(line: str) -> list[Heredoc]:
    """Those that a line begins, in their order."""
    try:
        words = expand.split(expand.pieces(line, {}, _LINE))
    except errdefs.InvalidArgument:  # a shell may read what is no word of a Dockerfile
        return []
    return [heredoc for word in words if (heredoc := parse(word)) is not None]


def begun(word: str) -> Heredoc | None:
    """As `parse`, but None for a bad name."""
    try:
        return parse(word)
    except errdefs.InvalidArgument:
        return None


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')
