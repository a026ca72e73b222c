"""One pattern of a path, as Docker's matcher takes it. Pure.

The places of the path that can be reached are the bits of a number, bit n for n letters read, and each part of the
pattern moves all of them at once: no pattern takes more time than its length times that of the path.
"""

from collections.abc import Callable
from typing import TypeAlias

import errdefs
from runtime import globs

_SPECIAL = frozenset("*?[]\\")
_Part: TypeAlias = Callable[[str, int], int]
"""From a path and the places reached to those reached after it."""


class Pattern:
    """`text` is cleaned; a "!" at its beginning makes it an exception. InvalidArgument for bad syntax."""

    def __init__(self, text: str) -> None:
        self.negated = text.startswith("!")
        self.text = text[self.negated :]
        if not self.text:
            raise errdefs.InvalidArgument('illegal exclusion pattern: "!"')
        globs.matches(self.text, ".")
        self._plain = not _SPECIAL & set(self.text)
        self._parts = [] if self._plain else _parts(self.text)

    def matches(self, path: str) -> bool:
        """Whether it fits this very path."""
        if self._plain:
            return path == self.text
        places = 1
        for part in self._parts:
            places = part(path, places)
            if not places:
                return False
        return bool(places >> len(path) & 1)


def _parts(text: str) -> list[_Part]:
    rest = text.removeprefix("**")
    if rest != text and not rest.startswith("/") and not _SPECIAL & set(rest):
        return [_anything, _literal(rest)]  # a quirk: anywhere else `**a` is `**/a`
    parts: list[_Part] = []
    letters = ""
    at = 0
    while at < len(text):
        if text[at] not in _SPECIAL:
            letters += text[at]
            at += 1
            continue
        if text[at] == "\\":
            letters += text[at + 1 : at + 2]
            at += 2
            continue
        part, at = _special(text, at)
        parts += [_literal(letters), part]
        letters = ""
    return [*parts, _literal(letters)]


def _special(text: str, at: int) -> tuple[_Part, int]:
    if text.startswith("**", at):
        at += 2
        at += text.startswith("/", at)
        return (_directories if at < len(text) else _anything), at
    if text[at] == "*":
        return _star, at + 1
    if text[at] == "?":
        return _one, at + 1
    fits, end = globs.group(text, at + 1)
    return _character(fits), end


def _literal(letters: str) -> _Part:
    def move(path: str, places: int) -> int:
        found = 0
        at = path.find(letters)
        while at >= 0:
            found |= 1 << at
            at = path.find(letters, at + 1)
        return (places & found) << len(letters)

    return move if letters else _nothing


def _character(fits: Callable[[str], bool]) -> _Part:
    def move(path: str, places: int) -> int:
        found = sum(1 << at for at, letter in enumerate(path) if fits(letter))
        return (places & found) << 1

    return move


def _nothing(_: str, places: int) -> int:
    return places


def _one(path: str, places: int) -> int:
    return (places & ~_slashes(path) & _letters(path)) << 1


def _star(path: str, places: int) -> int:
    """The sum carries a place to the end of its run of letters."""
    letters = ~_slashes(path) & _letters(path)
    return places | ((places & letters) + letters) ^ letters


def _directories(path: str, places: int) -> int:
    """`**/`: nothing, or whatever ends in a slash."""
    return places | (_slashes(path) << 1 & _after_first(places))


def _anything(path: str, places: int) -> int:
    return places | (_letters(path) << 1 & _after_first(places))


def _after_first(places: int) -> int:
    return ~((places & -places) * 2 - 1)


def _letters(path: str) -> int:
    return (1 << len(path)) - 1


def _slashes(path: str) -> int:
    found = 0
    at = path.find("/")
    while at >= 0:
        found |= 1 << at
        at = path.find("/", at + 1)
    return found
