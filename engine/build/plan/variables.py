"""Variables of a build before its first FROM: arguments of the platform, and global ones. Pure."""

from collections.abc import Mapping

from engine.build.dockerfile.document import Dockerfile
from engine.build.dockerfile.expand import expand
from engine.build.request import BuildRequest
from engine.build.source import at
from engine.images import platforms
from engine.images.platforms import Platform

_PROXIES = frozenset(("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"))
PROXIES = frozenset((*_PROXIES, *map(str.upper, _PROXIES)))


def given(request: BuildRequest) -> dict[str, str]:
    """The build's arguments that have a value."""
    return {name: value for name, value in request.arguments.items() if value is not None}


def proxies(request: BuildRequest) -> dict[str, str]:
    """The variables for proxies that a build gives to RUN: under both spellings, or as told by the classic API."""
    if request.classic:
        return {name: value for name, value in given(request).items() if name in PROXIES}
    found = {name.lower(): value for name, value in given(request).items() if name.lower() in _PROXIES}
    return {spelling: value for name, value in found.items() for spelling in (name.upper(), name)}


def of_platforms(build: Platform, target: Platform) -> dict[str, str]:
    """BUILDPLATFORM, TARGETARCH and the others."""
    return {
        f"{kind}{part}": value
        for kind, platform in (("BUILD", build), ("TARGET", target))
        for part, value in (
            ("PLATFORM", platforms.render(platform)),
            ("OS", platform.os),
            ("ARCH", platform.architecture),
            ("VARIANT", platform.variant),
        )
    }


def global_arguments(
    dockerfile: Dockerfile, request: BuildRequest, build: Platform, target: Platform
) -> dict[str, str | None]:
    """What FROM can use, and what an ARG without a value gets in a stage; None is an ARG that has no value.

    The classic builder knows nothing of platforms.
    """
    values = given(request)
    found: dict[str, str | None] = {} if request.classic else {**of_platforms(build, target)}
    found.update({name: values[name] for name in found if name in values})
    for instruction in dockerfile.arguments:
        for argument in instruction.arguments:
            if argument.name in values:
                found[argument.name] = values[argument.name]
            elif argument.default is None:
                found[argument.name] = None
            else:
                with at(instruction.position):
                    found[argument.name] = expand(argument.default, defined(found), dockerfile.escape)
    return found


def defined(variables: Mapping[str, str | None]) -> dict[str, str]:
    """As words are expanded by: a variable without a value is empty."""
    return {name: value or "" for name, value in variables.items()}
