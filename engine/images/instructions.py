"""The lines of `--change`: Dockerfile instructions that describe a config, as values. Pure."""

import json
import re

import msgspec

import errdefs

_SPACE = re.compile(r"[\t\v\f\r ]+")
_CONTINUED = re.compile(r"((?:^|[^\\]))\\[ \t]*$")


class Instruction(msgspec.Struct, frozen=True):
    """An instruction: its `name` in capitals, its `--flags`, and the `rest` of its logical line."""

    name: str
    flags: tuple[str, ...]
    rest: str
    line: str

    def json_words(self, text: str | None = None) -> list[str] | None:
        """The words of the exec form, `["a", "b"]`; None in any other form."""
        text = self.rest if text is None else text
        if not text.lstrip().startswith("["):
            return None
        try:
            words = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if not all(isinstance(word, str) for word in words):
            raise errdefs.InvalidArgument(
                "when using JSON array syntax, arrays must be comprised of strings only"
            )
        return [str(word) for word in words]

    def fields(self) -> list[str]:
        """The words between white space, without regard to quotes."""
        return _SPACE.split(self.rest) if self.rest else []

    def require_flags(self, allowed: frozenset[str] = frozenset()) -> dict[str, str]:
        """The flags by name. InvalidArgument for one that is unknown, given twice or has no value."""
        values: dict[str, str] = {}
        for flag in self.flags:
            name, equals, value = flag.partition("=")
            if name[2:] not in allowed:
                raise errdefs.InvalidArgument(f"unknown flag: {name}")
            if name[2:] in values:
                raise errdefs.InvalidArgument(f"duplicate flag specified: {name}")
            if not equals:
                raise errdefs.InvalidArgument(f"missing a value on flag: {name}")
            values[name[2:]] = value
        return values


def parse(text: str) -> list[Instruction]:
    """The instructions of a text. InvalidArgument if there is none."""
    found = [_instruction(line) for line in _logical_lines(text)]
    if not found:
        raise errdefs.InvalidArgument("file with no instructions")
    return found


def parse_line(line: str) -> Instruction:
    """One instruction, as it stands after ONBUILD."""
    return _instruction(line)


def _logical_lines(text: str) -> list[str]:
    lines: list[str] = []
    open_line: str | None = None
    for line in text.split("\n"):
        line = line.rstrip("\r")
        if line.lstrip().startswith("#") or (open_line is not None and not line.strip()):
            continue
        line = line.lstrip() if open_line is None else line
        body, continued = _CONTINUED.subn(r"\1", line)
        whole = (open_line or "") + body
        open_line = whole if continued else None
        if not continued and whole.strip():
            lines.append(whole)
    if open_line is not None and open_line.strip():
        lines.append(open_line)
    return lines


def _instruction(line: str) -> Instruction:
    name, *after = _SPACE.split(line.strip(), maxsplit=1)
    flags, rest = _take_flags(after[0] if after else "")
    return Instruction(name.upper(), tuple(flags), rest.strip(), line)


def _take_flags(rest: str) -> tuple[list[str], str]:
    flags: list[str] = []
    while rest.startswith("--"):
        word, rest = _flag_word(rest)
        rest = rest.lstrip()
        if word == "--":
            break
        flags.append(word)
    return flags, rest


def _flag_word(text: str) -> tuple[str, str]:
    word, quote, position = "", "", 0
    while position < len(text):
        char = text[position]
        if not quote and char.isspace():
            break
        if char == "\\":
            position += 1
            word += text[position : position + 1]
        elif char in "'\"" and quote in ("", char):
            quote = "" if quote else char
        else:
            word += char
        position += 1
    return word, text[position:]
