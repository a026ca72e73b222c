"""Values in the words of Go's fmt, as histories of images have them. Pure."""

from collections.abc import Iterable

from engine.build.dockerfile.text import quoted
from engine.containers.config import Healthcheck

_NANO, _MICRO, _MILLI = 1, 1_000, 1_000_000
_SECOND = 1_000_000_000


def quoted_list(words: Iterable[str]) -> str:
    """`%q` of a slice."""
    return f"[{' '.join(map(quoted, words))}]"


def plain_list(words: Iterable[str]) -> str:
    """`%v` of a slice."""
    return f"[{' '.join(words)}]"


def port_set(ports: Iterable[str]) -> str:
    """`%v` of a set of ports."""
    return f"map[{' '.join(f'{port}:{{}}' for port in sorted(ports))}]"


def health(check: Healthcheck) -> str:
    """`%q` of a pointer to a health check: durations are words, the number of retries a character."""
    durations = (check.interval, check.timeout, check.start_period, check.start_interval)
    shown = " ".join(quoted(duration(each)) for each in durations)
    return f"&{{{quoted_list(check.test or ())} {shown} {_character(check.retries)}}}"


def duration(nanoseconds: int) -> str:
    """A time.Duration, such as `1m30s` or `1.5ms`."""
    if nanoseconds == 0:
        return "0s"
    if abs(nanoseconds) < _SECOND:
        for unit, name in ((_MILLI, "ms"), (_MICRO, "µs"), (_NANO, "ns")):
            if abs(nanoseconds) >= unit:
                return _decimal(nanoseconds, unit) + name
    sign = "-" if nanoseconds < 0 else ""
    minutes, rest = divmod(abs(nanoseconds), 60 * _SECOND)
    hours, minutes = divmod(minutes, 60)
    lead = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{lead}{_decimal(rest, _SECOND)}s"


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(abs(value), unit)
    digits = f"{rest:0{len(str(unit)) - 1}d}".rstrip("0") if unit > 1 else ""
    return ("-" if value < 0 else "") + f"{whole}" + (f".{digits}" if digits else "")


def _character(number: int) -> str:
    if not 0 <= number <= 0x10FFFF or 0xD800 <= number < 0xE000:
        number = 0xFFFD
    char = chr(number)
    return {"'": r"'\''", '"': "'\"'"}.get(char) or f"'{quoted(char)[1:-1]}'"
