"""Points in time as people give them to filters: `10m` ago, a date, a date and time, Unix seconds. Pure."""

import re
from datetime import datetime

import errdefs
from engine.images import timestamps
from engine.images.durations import parse_duration

_UNIX = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d(?::\d\d(?::\d\d(?:\.\d{1,9})?)?)?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def parse(text: str, now: int) -> int:
    """Unix nanoseconds; a duration counts back from `now`. InvalidArgument for what is neither."""
    if (unix := _UNIX.fullmatch(text)) is not None:
        return int(unix[1]) * 10**9 + int(((unix[2] or "") + "0" * 9)[:9])
    if (date := _DATE.fullmatch(text)) is not None:
        return _from_date(text, zone=date[1] or "")
    try:
        return now - parse_duration(text)
    except errdefs.InvalidArgument:
        shown = f'"{text[:64]}"' if text.strip() else "value is empty"
        raise errdefs.InvalidArgument(f"failed to parse value as time or duration: {shown}") from None


def _from_date(text: str, zone: str) -> int:
    whole = text.removesuffix(zone)
    whole += "T00:00:00"[len(whole) - 10 :] if len(whole) < 19 else ""
    if zone:
        return timestamps.parse(whole + zone)
    try:
        offset = datetime.fromisoformat(whole[:19]).astimezone().strftime("%z")  # the daemon's own zone
    except (ValueError, OverflowError):
        raise errdefs.InvalidArgument(f'failed to parse value as time or duration: "{text[:64]}"') from None
    return timestamps.parse(f"{whole}{offset[:3]}:{offset[3:5]}")
