"""API versions: what is accepted, how two compare, and the negotiation errors."""

from functools import lru_cache

import msgspec

import errdefs
from engine import version as engine_version

MAXIMUM = engine_version.API
MINIMUM = engine_version.MIN_API


class Version(msgspec.Struct, frozen=True):
    """The version that a request is served in. `text` is as the client wrote it ("1.44", also "1.44.0")."""

    text: str

    def before(self, other: str) -> bool:
        """Whether this version is older than the other ("1.9" is before "1.24")."""
        return _numbers(self.text) < _numbers(other)


NEWEST = Version(MAXIMUM)


def negotiate(text: str | None) -> Version:
    """The version of a request by its path's prefix; None is the newest.

    InvalidArgument, in the words that clients look for, when it is outside what is served.
    """
    if text is None:
        return NEWEST
    version = Version(text)
    if version.before(MINIMUM):
        raise errdefs.InvalidArgument(
            f"client version {text} is too old. Minimum supported API version is {MINIMUM}, "
            "please upgrade your client to a newer version"
        )
    if NEWEST.before(text):
        raise errdefs.InvalidArgument(
            f"client version {text} is too new. Maximum supported API version is {MAXIMUM}"
        )
    return version


@lru_cache(256)
def _numbers(text: str) -> tuple[int, ...]:
    numbers = [int(part[:9]) if part else 0 for part in text.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
