"""Times and durations as Docker shows them."""

from functools import lru_cache

from engine.images import timestamps

ZERO = "0001-01-01T00:00:00Z"
_BILLION = 1_000_000_000
_MINUTE, _HOUR, _DAY, _WEEK = 60, 3600, 24, 24 * 7


@lru_cache(4096)
def go_time(nanoseconds: int) -> str:
    """A Unix time as Go prints it; 0, a thing that never happened, is the year 1."""
    return timestamps.render(nanoseconds) if nanoseconds else ZERO


def human_duration(nanoseconds: int) -> str:
    """About how long: "5 seconds", "About an hour", "3 weeks" (go-units)."""
    seconds = max(nanoseconds, 0) // _BILLION
    if seconds < _HOUR:
        return _short(seconds)
    hours = int(max(nanoseconds, 0) / _BILLION / _HOUR + 0.5)
    if hours <= 1:
        return "About an hour"
    spans = (
        (48, 1, "hours"),
        (_WEEK * 2, _DAY, "days"),
        (_DAY * 60, _WEEK, "weeks"),
        (_DAY * 730, _DAY * 30, "months"),
    )
    for limit, unit, name in spans:
        if hours < limit:
            return f"{hours // unit} {name}"
    return f"{seconds // _HOUR // _DAY // 365} years"


def _short(seconds: int) -> str:
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < _MINUTE:
        return f"{seconds} seconds"
    minutes = seconds // _MINUTE
    return "About a minute" if minutes == 1 else f"{minutes} minutes"
