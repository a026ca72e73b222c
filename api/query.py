"""Query parameters with Docker's rules for truth, numbers and times."""

import re
from urllib.parse import parse_qs

import errdefs
from api.gojson import readable

_FALSE = frozenset({"", "0", "no", "false", "none"})
_INTEGER = re.compile(r"[+-]?[0-9]+")
_MAX_FRACTION_DIGITS = 20
_MAX_PARAMETERS = 1000
_INT64 = range(-(2**63), 2**63)
_UINT32 = range(2**32)


class Query:
    """The parameters of a request; of a repeated one the first counts, unless `all` is asked."""

    def __init__(self, raw: str) -> None:
        try:
            self._values = (
                parse_qs(
                    raw, keep_blank_values=True, errors="surrogateescape", max_num_fields=_MAX_PARAMETERS
                )
                if raw
                else {}
            )
        except ValueError:
            raise errdefs.InvalidArgument("too many query parameters") from None

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str:
        """The value; "" where it is missing."""
        return readable(self.path(name))

    def path(self, name: str) -> str:
        """The value as `text`, but bytes that are not UTF-8 stay, as in Python's file names."""
        return self._values[name][0] if name in self._values else ""

    def all(self, name: str) -> list[str]:
        """Every value of a repeated parameter."""
        return [readable(value) for value in self._values.get(name, ())]

    def flag(self, name: str, *, default: bool = False) -> bool:
        """True unless the value is empty, 0, no, false or none, in any case; the default if it is missing."""
        if name not in self._values:
            return default
        return self.text(name).strip().lower() not in _FALSE

    def integer(self, name: str) -> int | None:
        """A decimal number, None where it is missing or empty. InvalidArgument names the parameter."""
        text = self.text(name)
        if not text:
            return None
        problem = _number_problem(text, _INT64)
        if problem:
            raise errdefs.InvalidArgument(
                f'invalid value for "{name}": strconv.Atoi: parsing {_quoted(text)}: {problem}'
            )
        return int(text)

    def size(self, name: str, what: str) -> int:
        """A required number of 32 bits without sign. `what` is the thing that the error names."""
        text = self.text(name)
        problem = "invalid syntax" if text.startswith("+") else _number_problem(text, _UINT32)
        if problem:
            raise errdefs.InvalidArgument(f"invalid {what} {_quoted(text)}: {problem}")
        return int(text)

    def timestamp(self, name: str) -> int | None:
        """A Unix time as "seconds" or "seconds.nanoseconds", in nanoseconds; None if missing or empty."""
        text = self.text(name)
        if not text:
            return None
        seconds, _, fraction = text.partition(".")
        problem = _number_problem(seconds, _INT64)
        if problem:
            problem = f"invalid seconds {_quoted(seconds)}: {problem}"
        elif fraction:
            problem = _fraction_problem(fraction)
        if problem:
            raise errdefs.InvalidArgument(
                f'invalid value for "{name}": invalid timestamp {_quoted(text)}: {problem}'
            )
        return int(seconds) * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))


def _number_problem(text: str, allowed: range) -> str:
    if not _INTEGER.fullmatch(text) or not text.isascii():
        return "invalid syntax"
    if len(text) > len(str(allowed.start or allowed.stop)) + 20 or int(text) not in allowed:
        return "value out of range"
    return ""


def _fraction_problem(fraction: str) -> str:
    if len(fraction) > _MAX_FRACTION_DIGITS:
        return f"invalid nanoseconds: length {len(fraction)} exceeds maximum {_MAX_FRACTION_DIGITS}"
    if not (fraction.isascii() and fraction.isdigit()):
        return "invalid nanoseconds: invalid character"
    return ""


def _quoted(text: str) -> str:
    shown = text if len(text) <= 64 else text[:64] + "…"
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'
