"""Regular expressions of clients: only those that cannot halt the daemon, for it matches them on its loop."""

import re

import errdefs

_MAX_LENGTH = 256
_MAX_REPEATS = 3
_REPEAT = re.compile(r"(?<!\\)[*+{]")
_REPEATED_GROUP = re.compile(r"\)[*+?{]")


def compile_bounded(text: str) -> re.Pattern[str]:
    """The expression. InvalidArgument for a bad one, and for one that may take exponential time (repeated groups,
    more than three repeats) or is longer than 256 characters.
    """
    if len(text) > _MAX_LENGTH or len(_REPEAT.findall(text)) > _MAX_REPEATS or _REPEATED_GROUP.search(text):
        raise errdefs.InvalidArgument(f"regexp too complex: {text[:_MAX_LENGTH]}")
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise errdefs.InvalidArgument(f"error parsing regexp: {error}") from None
