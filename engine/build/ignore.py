"""Patterns of `.dockerignore`, of COPY's `--exclude`, and of what a client is asked for. Pure.

The last pattern that fits a path or one of the directories above it decides; one with `!` says that it is not meant.
`*` and `?` stop at slashes, `**` does not.
"""

import posixpath
from collections.abc import Iterable
from typing import Self

from engine.build.dockerfile.directives import without_mark
from engine.build.dockerfile.text import SPACES
from runtime.copying.pattern import Pattern

_MAX_KNOWN = 4096


class Ignore:
    """Patterns in their order. InvalidArgument for a bad one."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns: list[Pattern] = []
        for text in patterns:
            if cleaned := text.strip(SPACES):
                self.patterns.append(Pattern(clean(cleaned)))
        self._known: dict[str, tuple[bool, ...]] = {}

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Those of a file, a pattern a line; `#` begins a comment, and a slash at the beginning means nothing."""
        lines = without_mark(content).decode(errors="surrogateescape").split("\n")
        return cls(filter(None, (_of_line(line) for line in lines if not line.startswith("#"))))

    @property
    def exceptions(self) -> bool:
        """Whether something below what fits may be an exception."""
        return any(pattern.negated for pattern in self.patterns)

    def matches(self, path: str) -> bool:
        """Whether the patterns mean a path, relative to what they are of, "/" between its parts.

        The directories above it are looked at first, as a walk down to it would.
        """
        if path in ("", "."):
            return False
        above: tuple[bool, ...] = ()
        slash = path.find("/")
        while slash >= 0:
            above = self._directory(path[:slash], above)
            slash = path.find("/", slash + 1)
        return self._decide(self._fits(path, above))

    def _directory(self, path: str, above: tuple[bool, ...]) -> tuple[bool, ...]:
        fits = self._known.get(path)
        if fits is None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            fits = self._known[path] = self._fits(path, above)
        return fits

    def _fits(self, path: str, above: tuple[bool, ...]) -> tuple[bool, ...]:
        """Of each pattern whether it fits, or fitted above; one that could not change the outcome is not tried."""
        fits: list[bool] = []
        outcome = False
        for number, pattern in enumerate(self.patterns):
            fit = bool(above) and above[number]
            if not fit and pattern.negated == outcome:
                fit = pattern.matches(path)
            fits.append(fit)
            outcome = not pattern.negated if fit else outcome
        return tuple(fits)

    def _decide(self, fits: tuple[bool, ...]) -> bool:
        last = max((number for number, fit in enumerate(fits) if fit), default=None)
        return last is not None and not self.patterns[last].negated


def clean(path: str) -> str:
    """As short as it can be written, as Go's path.Clean does."""
    cleaned = posixpath.normpath(path) if path else "."
    return "/" + cleaned.lstrip("/") if cleaned.startswith("//") else cleaned


def _of_line(line: str) -> str:
    line = line.strip(SPACES)
    negated = line.startswith("!")
    pattern = line[negated:].strip(SPACES)
    if pattern:
        pattern = clean(pattern)
        pattern = pattern[1:] if pattern.startswith("/") and len(pattern) > 1 else pattern
    return "!" * negated + pattern
