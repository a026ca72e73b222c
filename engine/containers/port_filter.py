"""The values of the filters `publish` and `expose`: pure."""

import errdefs


def parse(key: str, value: str) -> tuple[int, int, str]:
    """First port, last port and protocol of "80", "80/tcp" or "8000-8010/udp"; InvalidArgument in Docker's words.

    A protocol that is none is no mistake: nothing has such a port.
    """
    if ":" in value:
        raise errdefs.InvalidArgument(f"filter for '{key}' should not contain ':': {value}")
    port, _, rest = value.partition("/")
    try:
        first, last = _range(port)
    except ValueError as error:
        raise errdefs.InvalidArgument(f"error while looking up for {key} {value}: {error}") from None
    return first, last, rest.partition("/")[0] or "tcp"


def _range(text: str) -> tuple[int, int]:
    if not text:
        raise ValueError("Empty string specified for ports.")
    first, dash, rest = text.partition("-")
    low = _number(first)
    high = _number(rest.partition("-")[0]) if dash else low
    if high < low:
        raise ValueError(f"Invalid range specified for the Port: {text}")
    return low, high


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if len(text) > 20 or int(text) > 65535:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)
