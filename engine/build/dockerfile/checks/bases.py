"""Checks of FROM: its variables, its platform, and the image that it names."""

import errdefs
from engine.build.dockerfile.checks import rules
from engine.build.dockerfile.checks.reporting import Report
from engine.build.dockerfile.checks.scene import Scene
from engine.build.dockerfile.document import Dockerfile
from engine.build.dockerfile.expand import expand
from engine.build.dockerfile.instructions import From
from engine.build.dockerfile.text import quoted, suggestion
from engine.images import platforms, reference
from engine.images.config import ImageConfig
from engine.images.platforms import Platform

_OWN = "TARGETPLATFORM"


def check(dockerfile: Dockerfile, scene: Scene, report: Report) -> None:
    """Look at the FROM of every stage."""
    _check_defaults(dockerfile, scene, report)
    for number, stage in enumerate(dockerfile.stages):
        start = stage.start
        for word in filter(None, (start.base, start.platform)):
            _check_declared(start, word, scene, dockerfile.escape, report)
        platform = scene.target
        if start.platform:
            platform = _check_platform(start, scene, dockerfile.escape, report) or platform
        if number in scene.stages and number in scene.bases:
            _check_image(start, scene.bases[number], platform, report)


def _check_defaults(dockerfile: Dockerfile, scene: Scene, report: Report) -> None:
    """Whether bases have names if a build gives no arguments."""
    declared = {argument.name for each in dockerfile.arguments for argument in each.arguments}
    values = {name: value or "" for name, value in scene.variables.items() if name not in declared}
    try:
        for instruction in dockerfile.arguments:
            for argument in instruction.arguments:
                if argument.default is not None:
                    values[argument.name] = expand(argument.default, values, dockerfile.escape)
        bases = [expand(stage.start.base, values, dockerfile.escape) for stage in dockerfile.stages]
    except errdefs.InvalidArgument:
        return
    for stage, base in zip(dockerfile.stages, bases, strict=True):
        try:
            reference.parse(base)
        except errdefs.InvalidArgument:
            text = f"Default value for ARG {stage.start.base} results in empty or invalid base image name"
            report.add(rules.INVALID_DEFAULT_ARG_IN_FROM, stage.start.position, text)


def _check_declared(start: From, word: str, scene: Scene, escape: str, report: Report) -> None:
    for name in _names(word, escape):
        if name not in scene.variables:
            text = f"FROM argument '{name}' is not declared"
            near = suggestion(name, scene.variables)
            text += f" (did you mean {near}?)" if near else ""
            report.add(rules.UNDEFINED_ARG_IN_FROM, start.position, text, start.comments)


def _check_platform(start: From, scene: Scene, escape: str, report: Report) -> Platform | None:
    """The platform, None for what is none."""
    values = {name: value or "" for name, value in scene.variables.items()}
    names = _names(start.platform, escape)
    try:
        value = expand(start.platform, values, escape)
        platform = platforms.parse(value)
    except errdefs.InvalidArgument:
        return None
    if names == [_OWN] and value == values.get(_OWN):
        text = (
            f"Setting platform to predefined {start.platform} in FROM is redundant "
            "as this is the default behavior"
        )
        report.add(rules.REDUNDANT_TARGET_PLATFORM, start.position, text, start.comments)
    if not names and platform.os not in start.name and platform.architecture not in start.name:
        text = f"FROM --platform flag should not use constant value {quoted(value)}"
        report.add(rules.FROM_PLATFORM_FLAG_CONST_DISALLOWED, start.position, text, start.comments)
    return platform


def _check_image(start: From, base: ImageConfig, wanted: Platform, report: Report) -> None:
    found = base.platform
    if (found.os, found.architecture) != (wanted.os, wanted.architecture):
        text = (
            f"Base image {start.base} was pulled with platform {quoted(platforms.render(found))}, "
            f"expected {quoted(platforms.render(wanted))} for current build"
        )
        report.add(rules.INVALID_BASE_IMAGE_PLATFORM, start.position, text)


def _names(word: str, escape: str) -> list[str]:
    """The variables in a word."""
    unset: set[str] = set()
    try:
        expand(word, {}, escape, unset)
    except errdefs.InvalidArgument:
        return []
    return sorted(unset)
