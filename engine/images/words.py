"""Words of Dockerfile instructions: split as a shell would, variables and quotes resolved. Pure."""

from collections.abc import Mapping

import errdefs

_SPECIAL = frozenset("@*#?-$!0")
_END = ""


def split(text: str) -> list[str]:
    """The words of a line; quotes and backslashes stay in them, so that a space in quotes does not split."""
    words: list[str] = []
    word, quote, started = "", "", False
    position = 0
    while position < len(text):
        char = text[position]
        if not quote and char.isspace():
            if started:
                words.append(word)
            word, started = "", False
        elif char == "\\" and quote != "'":
            word += text[position : position + 2] if position + 1 < len(text) else ""
            started = started or bool(word)
            position += 1
        else:
            if char in "'\"" and quote in ("", char):
                quote = "" if quote else char
            word, started = word + char, True
        position += 1
    if started:
        words.append(word)
    return words


def expand(word: str, env: Mapping[str, str]) -> str:
    """The word with its variables filled in and its quotes removed. InvalidArgument for bad syntax."""
    return "".join(text for text, _ in _Expansion(word, env).run())


def expand_to_words(word: str, env: Mapping[str, str]) -> list[str]:
    """As `expand`, then split where a variable brought in spaces (`EXPOSE $PORTS`)."""
    words: list[str] = []
    current, started = "", False
    for text, quoted in _Expansion(word, env).run():
        for char in text:
            if char.isspace() and not quoted:
                if started:
                    words.append(current)
                current, started = "", False
            else:
                current, started = current + char, True
    return [*words, current] if started else words


class _Expansion:
    """One pass over a word; yields pieces of text, each with whether quotes protect it."""

    def __init__(self, word: str, env: Mapping[str, str]) -> None:
        self._word = word
        self._env = env
        self._at = 0

    def run(self) -> list[tuple[str, bool]]:
        try:
            return self._until(_END)
        except errdefs.InvalidArgument as error:
            raise errdefs.InvalidArgument(f'failed to process "{self._word}": {error.message}') from None

    def _peek(self) -> str:
        return self._word[self._at : self._at + 1]

    def _next(self) -> str:
        char = self._peek()
        self._at += 1
        return char

    def _until(self, stop: str) -> list[tuple[str, bool]]:
        pieces: list[tuple[str, bool]] = []
        while char := self._next():
            if char == stop:
                return pieces
            if char == "'":
                pieces.append((self._single_quoted(), True))
            elif char == '"':
                pieces.append((self._double_quoted(), True))
            elif char == "$":
                pieces.append((self._variable(), False))
            elif char == "\\":
                pieces.append((self._next(), True))
            else:
                pieces.append((char, False))
        if stop:
            raise errdefs.InvalidArgument("syntax error: missing '}'")
        return pieces

    def _single_quoted(self) -> str:
        end = self._word.find("'", self._at)
        if end < 0:
            raise errdefs.InvalidArgument(
                "unexpected end of statement while looking for matching single-quote"
            )
        text, self._at = self._word[self._at : end], end + 1
        return text

    def _double_quoted(self) -> str:
        text = ""
        while char := self._next():
            if char == '"':
                return text
            if char == "$":
                text += self._variable()
            elif char == "\\" and self._peek() in ('"', "$", "\\", _END):
                text += self._next()
            else:
                text += char
        raise errdefs.InvalidArgument("unexpected end of statement while looking for matching double-quote")

    def _variable(self) -> str:
        if self._peek() != "{":
            name = self._name()
            return self._env.get(name, "") if name else "$"
        self._next()
        if self._peek() == _END:
            raise errdefs.InvalidArgument("syntax error: missing '}'")
        if self._peek() in "{}:":
            raise errdefs.InvalidArgument("syntax error: bad substitution")
        name = self._name()
        modifier = self._next()
        if modifier == "}":
            return self._env.get(name, "")
        if modifier == ":":
            modifier += self._next()
        if modifier not in ("-", "+", "?", ":-", ":+", ":?"):
            raise errdefs.InvalidArgument(f"unsupported modifier ({modifier}) in substitution")
        return self._substitute(name, modifier, "".join(text for text, _ in self._until("}")))

    def _substitute(self, name: str, modifier: str, word: str) -> str:
        value = self._env.get(name)
        present = value is not None and (value != "" or ":" not in modifier)
        if modifier[-1] == "+":
            return word if present else ""
        if present:
            return value or ""
        if modifier[-1] == "-":
            return word
        state = "unset" if value is None else "empty"
        raise errdefs.InvalidArgument(f"{name}: {word or f'is not allowed to be {state}'}")

    def _name(self) -> str:
        start = self._at
        first = self._peek()
        if first.isdigit():
            while self._peek().isdigit():
                self._at += 1
        elif first and first in _SPECIAL:
            self._at += 1
        else:
            while (char := self._peek()) and (char.isalnum() or char == "_"):
                self._at += 1
        return self._word[start : self._at]
