"""Text as Go has it: what is white space, how a string is quoted in an error, and what somebody may have meant."""

from collections.abc import Iterable

SPACES = (
    "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
)
_NAMED = {char: f"\\{letter}" for char, letter in zip('"\\\a\b\f\n\r\t\v', '"\\abfnrtv', strict=True)}
_NEAR = 3  # a suggestion differs by fewer letters


def quoted(text: str) -> str:
    """In double quotes, with escapes for what cannot be printed."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in _NAMED:
        return _NAMED[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def suggestion(word: str, options: Iterable[str]) -> str:
    """The option that is nearest to the word, "" if none is near enough or the word is one of them."""
    best, nearest = "", _NEAR
    for option in options:
        if option == word:
            return ""
        if abs(len(option) - len(word)) < nearest and (distance := _distance(word, option)) < nearest:
            best, nearest = option, distance
    return best


def did_you_mean(message: str, word: str, options: Iterable[str]) -> str:
    """The message, with a suggestion if there is one."""
    near = suggestion(word, options)
    return f"{message} (did you mean {near}?)" if near else message


def _distance(one: str, other: str) -> int:
    """How many letters to put in, leave out or change (Levenshtein)."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        before, row[0] = row[0], number
        for place, another in enumerate(other, 1):
            before, row[place] = (
                row[place],
                min(row[place] + 1, row[place - 1] + 1, before + (letter != another)),
            )
    return row[-1]
