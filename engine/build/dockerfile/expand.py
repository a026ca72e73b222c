"""Variables in words: `$name`, `${name}` and what a shell does with `${name:-…}` and its like; quotes are removed."""

import re
from collections.abc import Mapping

import errdefs
from engine.build.dockerfile.text import SPACES, quoted
from engine.build.dockerfile.word import Piece, Reading, Word

_SPACE = re.compile(f"[{SPACES}]+")


def expand(word: str, variables: Mapping[str, str], escape: str = "\\", unset: set[str] | None = None) -> str:
    """The word with its variables replaced and without its quotes. InvalidArgument in BuildKit's words for a bad one.

    `unset` gets the names that had no value.
    """
    return "".join(text for text, _ in pieces(word, variables, Reading(escape), unset))


def expand_words(
    word: str, variables: Mapping[str, str], escape: str = "\\", unset: set[str] | None = None
) -> list[str]:
    """As `expand`, then split at white space that is not quoted: a variable may bring several words."""
    return split(pieces(word, variables, Reading(escape), unset))


def expand_text(text: str, variables: Mapping[str, str], unset: set[str] | None = None) -> str:
    """The content of a heredoc: quotes are ordinary characters in it."""
    return "".join(part for part, _ in pieces(text, variables, Reading(quotes=False), unset))


def shown(text: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """An instruction as people are shown it: variables that have a value replaced, and all else as it was written."""
    try:
        found = pieces(text, variables, Reading(escape, raw_quotes=True, keep_unset=True))
    except errdefs.InvalidArgument:
        return text
    return "".join(part for part, _ in found)


def split(given: list[Piece]) -> list[str]:
    """The words that pieces make."""
    words: list[str] = []
    current = ""
    for text, together in given:
        first, *more = (text,) if together else _SPACE.split(text)
        current += first
        for part in more:
            if current:
                words.append(current)
            current = part
    return [*words, current] if current else words


def pieces(
    word: str, variables: Mapping[str, str], reading: Reading, unset: set[str] | None = None
) -> list[Piece]:
    """What the word is made of, its variables replaced."""
    try:
        reader = Word(word, variables, reading, set() if unset is None else unset)
        return reader.until("", raw_escapes=reading.raw_escapes)
    except errdefs.InvalidArgument as error:
        raise errdefs.InvalidArgument(f"failed to process {quoted(word)}: {error.message}") from None
    except RecursionError:
        raise errdefs.InvalidArgument(
            "failed to process a word: substitutions are nested too deeply"
        ) from None
