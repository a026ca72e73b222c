"""Records of a json-file log: a JSON object a line, as Docker writes them."""

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec

_FRACTION_END = len("2006-01-02T15:04:05.000000000Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Record(msgspec.Struct, gc=False):
    """A line, or a piece of a long one; its newline is part of `log`."""

    log: str = ""
    stream: str = ""
    time: str = ""  # RFC 3339, up to nanoseconds
    attrs: dict[str, str] | None = None


_decoder = msgspec.json.Decoder(Record)


def decode(lines: bytes) -> list[Record]:
    """The records in whole lines. What is no record (torn by a crash, zeros after a power cut) is skipped."""
    try:
        return _decoder.decode_lines(lines)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return [record for line in lines.split(b"\n") if (record := _record(line)) is not None]


def _record(line: bytes) -> Record | None:
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


@lru_cache(maxsize=64)
def fixed_time(text: str) -> str:
    """A record's time in UTC with nine digits of fraction, so that texts sort as times do; "" if it is none."""
    if len(text) == _FRACTION_END and text[19] == "." and text[-1] == "Z":
        return text
    try:
        whole = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
        rest = text[19:]
        digits = rest[1:].rstrip("Z").partition("+")[0].partition("-")[0] if rest[:1] == "." else ""
        zone = rest[len(digits) + bool(digits) :]
        seconds = (whole - _EPOCH) // timedelta(seconds=1) - _offset(zone)
        return time_text(seconds * 10**9 + int(digits.ljust(9, "0")[:9]))
    except (ValueError, OverflowError):
        return ""


def time_text(ns: int) -> str:
    """Unix nanoseconds in the form of `fixed_time`."""
    seconds, fraction = divmod(ns, 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:09d}Z"


def short_time(ns: int) -> str:
    """Unix nanoseconds as Go prints them: without zeros at the end of the fraction."""
    return time_text(ns)[:-1].rstrip("0").rstrip(".") + "Z"


@lru_cache(maxsize=64)
def nanoseconds(text: str) -> int:
    """Unix nanoseconds of a record's time; 0 if it is none."""
    fixed = fixed_time(text)
    if not fixed:
        return 0
    whole = datetime.fromisoformat(fixed[:19]).replace(tzinfo=UTC)
    return (whole - _EPOCH) // timedelta(seconds=1) * 10**9 + int(fixed[20:29])


def _offset(zone: str) -> int:
    """Seconds east of Greenwich of "Z" or "+01:00"; ValueError for others."""
    if zone == "Z":
        return 0
    sign = {"+": 1, "-": -1}.get(zone[:1])
    if sign is None or len(zone) != 6 or zone[3] != ":":
        raise ValueError(zone)
    return sign * (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60)
