"""Spans of time as Go writes them: `1h30m`, `1.5s`, `200ms`. Pure."""

import re
from decimal import Decimal

import errdefs

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_TERM = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_MAX = 2**63 - 1


def parse_duration(text: str) -> int:
    """Nanoseconds. InvalidArgument with the texts of Go's parser."""
    body = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if body == "0":
        return 0
    terms = _TERM.findall(body) if len(body) <= 64 else []
    if not terms or "".join(number + unit for number, unit in terms) != body:
        raise errdefs.InvalidArgument(_complaint(text, body))
    total = int(sum(Decimal(number) * _UNITS[unit] for number, unit in terms))
    if total > _MAX:
        raise errdefs.InvalidArgument(f'time: invalid duration "{text}"')
    return -total if text.startswith("-") else total


def _complaint(text: str, body: str) -> str:
    if re.fullmatch(r"\d+\.?\d*|\.\d+", body, re.ASCII):
        return f'time: missing unit in duration "{text}"'
    return f'time: invalid duration "{text}"'
