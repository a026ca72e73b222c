"""The patterns of --exclude and --parents on a walk: from a directory to what is in it. Pure."""

import posixpath
from collections.abc import Sequence

from runtime.copying.pattern import Pattern

State = tuple[bool, ...]
"""Which patterns match a directory, and so all in it."""
_WILD = frozenset("*?[\\")


class Patterns:
    """A list of patterns; the last that matches a path or a directory above it decides."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """InvalidArgument for one that is malformed."""
        self._patterns = [Pattern(posixpath.normpath(text)) for each in patterns if (text := each.strip())]
        self.negates = any(pattern.negated for pattern in self._patterns)
        self.nothing: State = (False,) * len(self._patterns)

    def match(self, path: str, above: State) -> tuple[bool, State]:
        """Whether a path, relative and cleaned, is matched, and its state, given that of its directory."""
        matched = False
        states = []
        for pattern, state in zip(self._patterns, above, strict=True):
            hit = state or (pattern.negated == matched and pattern.matches(path))
            states.append(hit)
            if hit:
                matched = not pattern.negated
        return matched, tuple(states)

    def reaches(self, directory: str) -> bool:
        """Whether something below a directory, which no pattern matches, may be matched."""
        names = directory.split("/")
        return any(
            _reaches(pattern.text.split("/"), names) for pattern in self._patterns if not pattern.negated
        )


def _reaches(pattern: list[str], names: list[str]) -> bool:
    for wanted, name in zip(pattern, names, strict=False):
        if _WILD & set(wanted):
            return True
        if wanted != name:
            return False
    return len(pattern) > len(names)
