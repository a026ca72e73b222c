"""Values of log options as Go's parsers take them, and their complaints. Pure."""

import re

import errdefs

_UNITS = "bkmgtp"
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?) ?(?P<unit>[bkmgtpBKMGTP]?)[iI]?[bB]?", re.ASCII)
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def size(text: str, *, base: int = 1000) -> int:
    """Bytes of "10m", "1.5g" or "1024": in decimal units, or with base 1024 in binary ones."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise errdefs.InvalidArgument(f"invalid size: '{text}'")
    return int(float(match["number"]) * base ** max(_UNITS.find(match["unit"].lower() or "b"), 0))


def boolean(text: str) -> bool:
    """As strconv.ParseBool."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise errdefs.InvalidArgument(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def integer(text: str, function: str = "Atoi") -> int:
    """As strconv.Atoi, or ParseUint, which takes no sign."""
    digits = text[1:] if function == "Atoi" and text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdecimal()):
        raise errdefs.InvalidArgument(f'strconv.{function}: parsing "{text}": invalid syntax')
    if int(text) >= 2**63:
        raise errdefs.InvalidArgument(f'strconv.{function}: parsing "{text}": value out of range')
    return int(text)
