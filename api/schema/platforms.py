"""The `platform` parameter as JSON (since 1.48): an OCI platform, once or, since 1.52, several times."""

import msgspec

import errdefs
from api.versions import Version
from engine.images.platforms import Platform


def wanted(given: list[str], version: Version) -> list[Platform]:
    """The platforms that a request asks for, none if it asks for none. InvalidArgument in Docker's words."""
    if version.before("1.48"):
        return []
    given = [text for text in given if text]
    if len(given) > 1 and version.before("1.52"):
        raise errdefs.InvalidArgument("multiple platform parameters not supported")
    return [_parse(text) for text in given]


def _parse(text: str) -> Platform:
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
