"""Challenges of HTTP authentication (RFC 9110, section 11.6.1): from header values to values."""

import re
from collections.abc import Iterable, Mapping

import msgspec

_MAX_CHALLENGES = 16
_MAX_BYTES = 64 << 10  # of one header value

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SEPARATORS = re.compile(r"[\s,]*")
_PARAMETER = re.compile(rf'({_WORD})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_WORD}))')
_SCHEME = re.compile(rf"({_WORD})(?=[\s,]|$)")
_BLOB = re.compile(r"[ \t]+[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)")
_ESCAPE = re.compile(r"\\(.)")


class Challenge(msgspec.Struct, frozen=True):
    """How a server wants to be convinced; the scheme and the names of parameters are in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse(header_values: Iterable[str]) -> list[Challenge]:
    """The challenges of `WWW-Authenticate` headers, in order; several may stand in one.

    What is malformed ends its header: whatever stood before it counts.
    """
    found: list[Challenge] = []
    for value in header_values:
        found += _of_one(value[:_MAX_BYTES])
    return found[:_MAX_CHALLENGES]


def _of_one(value: str) -> list[Challenge]:
    found: list[Challenge] = []
    parameters: dict[str, str] = {}
    position = _after_separators(value, 0)
    while position < len(value):
        if found and (parameter := _PARAMETER.match(value, position)):
            name, quoted, plain = parameter.groups()
            parameters.setdefault(name.lower(), plain if quoted is None else _ESCAPE.sub(r"\1", quoted))
            position = parameter.end()
        elif scheme := _SCHEME.match(value, position):
            parameters = {}
            found.append(Challenge(scheme[1].lower(), parameters))
            position = scheme.end()
            if blob := _BLOB.match(value, position):
                position = blob.end()
        else:
            break
        position = _after_separators(value, position)
    return found


def _after_separators(value: str, position: int) -> int:
    separators = _SEPARATORS.match(value, position)
    return position if separators is None else separators.end()
