"""What follows the name of an instruction: its flags, and the words, JSON or pairs after them. Nothing is expanded."""

import json
import re
from collections.abc import Sequence

import msgspec

import errdefs
from engine.build.dockerfile.text import SPACES, quoted
from engine.build.dockerfile.values import Pair

BLANKS = re.compile(r"[\t\v\f\r ]+")
_LISTS = frozenset({"add", "copy", "volume"})
_COMMANDS = frozenset({"cmd", "entrypoint", "run", "shell"})
_SINGLE = frozenset({"maintainer", "stopsignal", "user", "workdir"})


class Words(msgspec.Struct, frozen=True):
    """`json`: they were written as a JSON array. `pairs` are those of ENV and LABEL."""

    words: Sequence[str] = ()
    json: bool = False
    pairs: Sequence[Pair] = ()


def read(keyword: str, rest: str, escape: str) -> Words:
    """What the instruction takes, by its name in lower case. InvalidArgument in BuildKit's words."""
    if keyword in _COMMANDS or keyword in _LISTS:
        array = _array(rest)
        if array is not None:
            return Words(array, json=True)
        return Words(fields(rest) if keyword in _LISTS else [rest] * bool(rest))
    if keyword in _SINGLE:
        return Words([rest] * bool(rest))
    if keyword in ("env", "label"):
        return Words(pairs=_pairs(keyword.upper(), rest, escape))
    if keyword == "arg":
        return Words(split(rest, escape))
    if keyword == "healthcheck":
        kind, *command = re.split(f"[{SPACES}]+", rest, maxsplit=1)
        after = read("cmd", "".join(command), escape)
        return Words([kind, *after.words] if kind else [], json=after.json)
    return Words(fields(rest))


def fields(rest: str) -> list[str]:
    """What stands between white space, whatever quotes are in it."""
    return BLANKS.split(rest) if rest else []


def split(rest: str, escape: str) -> list[str]:
    """Words that may be quoted; the quotes and escapes stay in them."""
    esc = re.escape(escape)
    escaped = rf"{esc}."
    single = r"'[^']*(?:'|\Z)"
    double = rf'"(?:{escaped}|[^"{esc}])*(?:"|(?={esc}?\Z))'
    other = rf"""[^{esc}'"{SPACES}]"""
    return [match[0] for match in re.finditer(f"(?:{escaped}|{single}|{double}|{other})+", rest, re.DOTALL)]


def take_flags(rest: str, escape: str) -> tuple[list[str], str]:
    """The flags at the beginning, without their quotes, and what comes after them; a flag "--" ends them."""
    flags: list[str] = []
    rest = rest.lstrip(SPACES)
    while rest.startswith("--"):
        word, rest = _flag(rest, escape)
        rest = rest.lstrip(SPACES)
        if word == "--":
            break
        flags.append(word)
    return flags, rest


def _flag(text: str, escape: str) -> tuple[str, str]:
    letters: list[str] = []
    quote, at = "", 0
    while at < len(text):
        char = text[at]
        if not quote and char in SPACES:
            break
        if char == escape:
            at += 1
            letters.append(text[at : at + 1])
        elif char in "'\"" and quote in ("", char):
            quote = "" if quote else char
        else:
            letters.append(char)
        at += 1
    return "".join(letters), text[at:]


def _array(rest: str) -> list[str] | None:
    """None if the text is no JSON array."""
    if not rest.lstrip(SPACES).startswith("["):
        return None
    try:
        found = json.loads(rest, parse_constant=_no_number, parse_int=float)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(word, str) for word in found):
        raise errdefs.InvalidArgument(
            "when using JSON array syntax, arrays must be comprised of strings only"
        )
    return [_paired(word) for word in found]


def _no_number(text: str) -> float:
    raise ValueError(text)


def _paired(text: str) -> str:
    """Half of a surrogate pair, which JSON can say, is no character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _pairs(instruction: str, rest: str, escape: str) -> list[Pair]:
    words = split(rest, escape)
    if words and "=" not in words[0]:
        old = BLANKS.split(rest, maxsplit=1)
        if len(old) < 2:
            raise errdefs.InvalidArgument(f"{instruction} must have two arguments")
        return [Pair(old[0], old[1], old_form=True)]
    return [_pair(word) for word in words]


def _pair(word: str) -> Pair:
    key, equals, value = word.partition("=")
    if not equals:
        problem = f"can't find = in {quoted(word)}. Must be of the form: name=value"
        raise errdefs.InvalidArgument(f"Syntax error - {problem}")
    return Pair(key, value)
