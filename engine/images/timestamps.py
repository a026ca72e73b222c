"""Times as image configs have them: RFC 3339 with up to nine digits of a second."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import errdefs

_SHAPE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BILLION = 1_000_000_000


def parse(text: str) -> int:
    """Unix nanoseconds of a time, 0 for an empty text. InvalidArgument for what is no time."""
    if not text:
        return 0
    found = _SHAPE.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        *whole, fraction, zone = found.groups(default="")
        moment = datetime(*map(int, whole), tzinfo=UTC)  # type: ignore[misc,arg-type]
        return _nanoseconds(moment - _EPOCH - _offset(zone)) + int((fraction + "0" * 9)[:9])
    except (ValueError, OverflowError):
        raise errdefs.InvalidArgument(f"invalid time {text[:64]!r}: not RFC 3339") from None


@lru_cache(4096)
def render(nanoseconds: int) -> str:
    """A time in UTC as Go prints it: as many digits of a second as it has."""
    seconds, fraction = divmod(nanoseconds, _BILLION)
    moment = _EPOCH + timedelta(seconds=seconds)
    digits = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{moment.isoformat()[:19]}{digits}Z"


def tidy(text: str) -> str:
    """The same time as Go would print it, in its own zone: without needless zeros."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        return text
    *whole, fraction, zone = found.groups(default="")
    digits = fraction[:9].rstrip("0")
    year, month, day, hour, minute, second = whole
    tail = "Z" if zone in ("Z", "z", "+00:00", "-00:00") else zone
    return f"{year}-{month}-{day}T{hour}:{minute}:{second}{'.' + digits if digits else ''}{tail}"


def _nanoseconds(span: timedelta) -> int:
    return (span.days * 86400 + span.seconds) * _BILLION


def _offset(zone: str) -> timedelta:
    if zone in ("Z", "z"):
        return timedelta()
    sign = -1 if zone[0] == "-" else 1
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError
    return sign * timedelta(hours=hours, minutes=minutes)
