"""What was found wrong with a Dockerfile, as far as it does not say that it is meant so."""

from collections.abc import Sequence

import msgspec

import errdefs
from engine.build.dockerfile.checks.rules import Rule
from engine.build.dockerfile.directives import Directives
from engine.build.dockerfile.text import SPACES, quoted
from engine.build.progress import Finding
from engine.build.source import Position
from engine.config.values import parse_bool

_LEVEL = 1
_MAX_OPTIONS = 3


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Of `# check=skip=A,B;error=true;experimental=all`: None stands for all rules."""

    skip: frozenset[str] | None = frozenset()
    experimental: frozenset[str] | None = frozenset()
    error: bool = False

    @classmethod
    def parse(cls, text: str) -> "Options":
        """InvalidArgument in BuildKit's words."""
        options = cls()
        for part in text.strip(SPACES).split(";", _MAX_OPTIONS - 1) if text.strip(SPACES) else ():
            key, equals, value = part.partition("=")
            key, value = key.strip(SPACES), value.strip(SPACES)
            if not equals:
                raise errdefs.InvalidArgument(f"invalid check option {quoted(part)}")
            if key == "skip":
                options = msgspec.structs.replace(options, skip=_names(value))
            elif key == "experimental":
                options = msgspec.structs.replace(options, experimental=_names(value))
            elif key == "error":
                options = msgspec.structs.replace(options, error=_truth(part, value))
            else:
                raise errdefs.InvalidArgument(f"invalid check option {quoted(key)}")
        return options

    def merged(self, comments: Sequence[str]) -> "Options":
        """With those in a comment right above an instruction, for which alone they are."""
        for comment in comments:
            directives = Directives(comment="")
            if directives.take(comment) and "check" in directives.values:
                try:
                    own = Options.parse(directives.values["check"].split(" ")[0])
                except errdefs.InvalidArgument:
                    return self
                return msgspec.structs.replace(
                    self,
                    skip=_both(self.skip, own.skip),
                    experimental=_both(self.experimental, own.experimental),
                )
        return self

    def wants(self, rule: Rule) -> bool:
        """Whether the rule is looked at."""
        if rule.experimental:
            return self.experimental is None or rule.name in self.experimental
        return self.skip is not None and rule.name not in self.skip


class Violation(msgspec.Struct, frozen=True):
    """One thing that is against a rule; `message` says what."""

    rule: Rule
    message: str
    position: Position

    def finding(self, vertex: str) -> Finding:
        """As the progress of a build tells it."""
        return Finding(
            vertex=vertex,
            level=_LEVEL,
            short=f"{self.rule.name}: {self.message} (line {self.position.first})",
            detail=(self.rule.description,),
            url=self.rule.url,
            lines=((self.position.first, self.position.last),),
        )


class Report(msgspec.Struct):
    """All that was found, in the order in which BuildKit looks."""

    options: Options
    violations: list[Violation] = msgspec.field(default_factory=list)

    def add(self, rule: Rule, position: Position, message: str, comments: Sequence[str] = ()) -> None:
        """Note a violation, unless the options, or a comment above, say not to."""
        if self.options.merged(comments).wants(rule):
            self.violations.append(Violation(rule, message, position))

    @property
    def failure(self) -> str:
        """Why the build fails if it is to fail for what was found, otherwise ""."""
        names = dict.fromkeys(violation.rule.name for violation in self.violations)
        return f"lint violation found for rules: {', '.join(names)}" if names and self.options.error else ""


def _names(value: str) -> frozenset[str] | None:
    return None if value == "all" else frozenset(name.strip(SPACES) for name in value.split(","))


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return None if one is None or other is None else one | other


def _truth(part: str, value: str) -> bool:
    try:
        return parse_bool(value)
    except ValueError as error:
        raise errdefs.InvalidArgument(f"failed to parse check option {quoted(part)}: {error}") from None
