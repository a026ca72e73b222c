"""HEALTHCHECK, in BuildKit's words."""

import errdefs
from engine.build.dockerfile.flags import Flags
from engine.build.dockerfile.lines import Statement
from engine.build.dockerfile.text import quoted
from engine.containers.config import Healthcheck
from engine.images.durations import parse_duration

_FLAGS = ("interval", "timeout", "start-period", "start-interval", "retries")
_MIN_INTERVAL = 1_000_000  # nanoseconds
_MAX_RETRIES = 2**31 - 1


def health_check(statement: Statement) -> Healthcheck:
    """The probe of an image. InvalidArgument for a bad one."""
    if not statement.words.words:
        raise errdefs.InvalidArgument("HEALTHCHECK requires at least one argument")
    kind, *command = statement.words.words
    if kind.upper() == "NONE":
        if command:
            raise errdefs.InvalidArgument("HEALTHCHECK NONE takes no arguments")
        return Healthcheck(test=["NONE"])
    flags = Flags(statement.flags, texts=_FLAGS)
    if kind.upper() != "CMD":
        raise errdefs.InvalidArgument(f"Unknown type {quoted(kind.upper())} in HEALTHCHECK (try CMD)")
    if not command:
        raise errdefs.InvalidArgument("Missing command after HEALTHCHECK CMD")
    return Healthcheck(
        test=["CMD" if statement.words.json else "CMD-SHELL", *command],
        interval=_interval(flags, "interval"),
        timeout=_interval(flags, "timeout"),
        start_period=_interval(flags, "start-period"),
        start_interval=_interval(flags, "start-interval"),
        retries=_retries(flags.text("retries")),
    )


def _interval(flags: Flags, name: str) -> int:
    text = flags.text(name)
    value = parse_duration(text) if text else 0
    if value and value < _MIN_INTERVAL:
        raise errdefs.InvalidArgument(f"Interval {quoted(name)} cannot be less than 1ms")
    return value


def _retries(text: str) -> int:
    if not text:
        return 0
    sign, digits = (text[0], text[1:]) if text[0] in "+-" else ("", text)
    if not digits.isascii() or not digits.isdecimal():
        raise errdefs.InvalidArgument(f"strconv.ParseInt: parsing {quoted(text)}: invalid syntax")
    retries = int(sign + digits) if len(digits) < 20 else _MAX_RETRIES + 1
    if abs(retries) > _MAX_RETRIES:
        raise errdefs.InvalidArgument(f"strconv.ParseInt: parsing {quoted(text)}: value out of range")
    if retries < 0:
        raise errdefs.InvalidArgument(f"--retries cannot be negative ({retries})")
    return retries
