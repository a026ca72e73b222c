"""Platforms as parameters in JSON: an OCI platform, once or several times, by version."""

import msgspec

import errdefs
from api.versions import Version
from engine.images.platforms import Platform


def wanted(given: list[str], version: Version) -> list[Platform]:
    """The platforms of an archive that a request asks for (one since 1.48, several since 1.52), none if it asks
    for none. InvalidArgument in Docker's words.
    """
    if version.before("1.48"):
        return []
    given = [text for text in given if text]
    if len(given) > 1 and version.before("1.52"):
        raise errdefs.InvalidArgument(
            "multiple platform parameters are not supported in this API version; use API version 1.52 or later"
        )
    return [parse(text) for text in given]


def one(text: str, version: Version, since: str) -> Platform | None:
    """The platform that a request asks for, None for any and before `since`."""
    return parse(text) if text and not version.before(since) else None


def parse(text: str) -> Platform:
    """A platform in JSON. InvalidArgument in Docker's words."""
    try:
        found = msgspec.json.decode(text, type=Platform)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise errdefs.InvalidArgument(f"failed to parse platform: {error}") from None
    if found.os and found.architecture:
        return found
    if found.variant and not found.os and not found.architecture:
        raise errdefs.InvalidArgument(
            "optional platform fields provided, but OS and Architecture are missing"
        )
    raise errdefs.InvalidArgument("both OS and Architecture must be provided")
