"""One word of a Dockerfile, read as a shell does: variables replaced, quotes removed."""

import re
from collections.abc import Mapping

import msgspec

import errdefs
from engine.build.dockerfile import globbing

_SPECIAL = frozenset("@*#?-$!0")
_MODIFIERS = frozenset("-+?#%")
_END = ""
Piece = tuple[str, bool]
"""Some text, and whether it stays together where words are split."""


class Reading(msgspec.Struct, frozen=True):
    """How a word is read: `raw_quotes` and `raw_escapes` stay in it, `quotes` False are ordinary characters,
    variables without a value stay as they are if `keep_unset`.
    """

    escape: str = "\\"
    raw_quotes: bool = False
    raw_escapes: bool = False
    quotes: bool = True
    keep_unset: bool = False


class Word:
    """One pass over a word."""

    def __init__(self, word: str, variables: Mapping[str, str], reading: Reading, unset: set[str]) -> None:
        self._word = word
        self._at = 0
        self._variables = variables
        self._reading = reading
        self._unset = unset
        self._raw_escapes = reading.raw_escapes
        special = "$<" + reading.escape + ("'\"" if reading.quotes else "")
        self._special = frozenset(special)
        self._plain = re.compile(f"[^{re.escape(special)}}}/]+|.", re.DOTALL)

    def _peek(self) -> str:
        return self._word[self._at : self._at + 1]

    def _next(self) -> str:
        char = self._peek()
        self._at += 1
        return char

    def until(self, stop: str, *, raw_escapes: bool) -> list[Piece]:
        """The pieces up to the character `stop`, or to the end."""
        outer, self._raw_escapes = self._raw_escapes, raw_escapes
        found: list[Piece] = []
        while char := self._peek():
            if char == stop:
                break
            found.append(self._special_piece(char) if char in self._special else (self._run(), False))
        else:
            if stop:
                raise errdefs.InvalidArgument(
                    f"unexpected end of statement while looking for matching {stop}"
                )
        self._at += len(stop)
        self._raw_escapes = outer
        return found

    def _run(self) -> str:
        match = self._plain.match(self._word, self._at)
        assert match is not None
        self._at = match.end()
        return match[0]

    def _special_piece(self, char: str) -> Piece:
        if char == "'":
            return self._single_quoted(), True
        if char == '"':
            return self._double_quoted(), True
        self._at += 1
        if char == "$":
            return self._variable(), False
        if char == "<":
            return self._less_than(), True
        return (char if self._raw_escapes else "") + self._next(), True

    def _less_than(self) -> str:
        """White space after `<<` is part of its word."""
        if self._peek() != "<":
            return "<"
        start = self._at
        self._at += 1
        while self._peek() in ("\t", "\r", " "):
            self._at += 1
        return "<" + self._word[start : self._at]

    def _single_quoted(self) -> str:
        end = self._word.find("'", self._at + 1)
        if end < 0:
            raise errdefs.InvalidArgument(
                "unexpected end of statement while looking for matching single-quote"
            )
        start, self._at = self._at, end + 1
        return self._word[start : end + 1] if self._reading.raw_quotes else self._word[start + 1 : end]

    def _double_quoted(self) -> str:
        quote = '"' if self._reading.raw_quotes else ""
        self._at += 1
        parts = [quote]
        while char := self._next():
            if char == '"':
                return "".join([*parts, quote])
            if char == "$":
                parts.append(self._variable())
            elif char == self._reading.escape:
                parts.append(self._escaped_in_quotes())
            else:
                parts.append(char)
        raise errdefs.InvalidArgument("unexpected end of statement while looking for matching double-quote")

    def _escaped_in_quotes(self) -> str:
        escape = self._reading.escape
        kept = escape if self._raw_escapes else ""
        following = self._peek()
        if following == _END:
            return kept
        return kept + (self._next() if following in ('"', "$", escape) else escape)

    def _variable(self) -> str:
        start = self._at
        if self._peek() != "{":
            name = self._name()
            value = self._value(name) if name else "$"
            return self._kept(start) if value is None and self._reading.keep_unset else value or ""
        self._at += 1
        if self._peek() == _END:
            raise errdefs.InvalidArgument("syntax error: missing '}'")
        if self._peek() in "{}:":
            raise errdefs.InvalidArgument("syntax error: bad substitution")
        name = self._name()
        result = self._modified(name)
        if self._reading.keep_unset and name not in self._variables:
            return self._kept(start)
        return result

    def _kept(self, start: int) -> str:
        return "$" + self._word[start : self._at]

    def _value(self, name: str) -> str | None:
        value = self._variables.get(name)
        if value is None:
            self._unset.add(name)
        return value

    def _modified(self, name: str) -> str:
        """What `${name` gives with what follows it, up to its `}`."""
        modifier = self._next()
        if modifier == "}":
            return self._value(name) or ""
        if modifier == "/":
            return self._replaced(name)
        colon = modifier == ":"
        if colon:
            modifier += self._next()
        if modifier[-1:] not in _MODIFIERS or modifier in (":#", ":%"):
            shown = modifier if self._at <= len(self._word) else f"{modifier}\ufffd"  # Go's end of a text
            raise errdefs.InvalidArgument(f"unsupported modifier ({shown}) in substitution")
        word = self._inner("}", raw_escapes=modifier in ("#", "%"))
        if modifier in ("#", "%"):
            value = self._value(name) or ""
            longest = word.startswith(modifier)
            return globbing.trimmed(value, word[longest:], longest=longest, end=modifier == "%")
        return self._chosen(name, modifier, word)

    def _inner(self, stop: str, *, raw_escapes: bool) -> str:
        try:
            return "".join(text for text, _ in self.until(stop, raw_escapes=raw_escapes))
        except errdefs.InvalidArgument:
            if self._peek() != _END:
                raise
            where = "" if stop == "}" else " in ${}"
            raise errdefs.InvalidArgument(f"syntax error: missing '{stop}'{where}") from None

    def _chosen(self, name: str, modifier: str, word: str) -> str:
        value = self._value(name)
        present = value is not None and (value != "" or ":" not in modifier)
        if modifier[-1] == "+":
            return word if present else ""
        if present:
            return value or ""
        if modifier[-1] == "-":
            return word
        if self._reading.keep_unset:
            return ""
        state = "unset" if value is None else "empty"
        raise errdefs.InvalidArgument(f"{name}: {word or f'is not allowed to be {state}'}")

    def _replaced(self, name: str) -> str:
        everywhere = self._peek() == "/"
        self._at += everywhere
        pattern = self._inner("/", raw_escapes=True)
        replacement = self._inner("}", raw_escapes=True)
        return globbing.replaced(self._value(name) or "", pattern, replacement, everywhere=everywhere)

    def _name(self) -> str:
        start = self._at
        first = self._peek()
        if first.isdecimal():
            while self._peek().isdecimal():
                self._at += 1
        elif first and first in _SPECIAL:
            self._at += 1
        else:
            while (char := self._peek()) and (char.isalpha() or char.isdecimal() or char == "_"):
                self._at += 1
        return self._word[start : self._at]
