"""Answers of both daemons compared field by field, less the differences that are meant.

A difference is a line: where (a path such as "body.State.Pid", "*" for any one part of it), for which request (a
substring of its label, "" for all) and why. `Differences` remembers which of them were met, and `unmet()` tells those
that never were: a table that nothing needs any more is wrong, too.
"""

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.peer.peer import Answer

MISSING = "(absent)"
# How Go and we call the place in a body that does not fit; the name of the Go struct changes between releases.
PLACE = re.compile(r"into Go (struct field \S+|value) of type \S+")


@dataclass(frozen=True, slots=True)
class Known:
    """One difference that is meant."""

    where: str
    label: str
    reason: str


@dataclass(slots=True)
class Differences:
    """The table of a test module."""

    known: list[Known]
    met: set[Known] = field(default_factory=set)

    def between(self, label: str, ours: Answer, theirs: Answer) -> list[str]:
        """The differences of two answers that are not in the table, one line each."""
        return [
            f"{where}: {mine!r}, dockerd: {its!r}"
            for where, mine, its in _answers(ours, theirs)
            if not self._expected(where, label)
        ]

    def of_values(self, label: str, ours: Any, theirs: Any) -> list[str]:
        """The same for two values."""
        return [
            f"{where}: {mine!r}, dockerd: {its!r}"
            for where, mine, its in _values("body", ours, theirs)
            if not self._expected(where, label)
        ]

    def unmet(self) -> list[Known]:
        """What of the table never was."""
        return [known for known in self.known if known not in self.met]

    def _expected(self, where: str, label: str) -> bool:
        found = [
            each for each in self.known if each.label in label and fnmatch.fnmatchcase(where, each.where)
        ]
        self.met.update(found)
        return bool(found)


def table(*lines: tuple[str, str, str]) -> Differences:
    """A table from its lines: where, for which request, why."""
    return Differences([Known(*line) for line in lines])


def _answers(ours: Answer, theirs: Answer) -> Iterator[tuple[str, Any, Any]]:
    if ours.status != theirs.status:
        yield "status", ours.status, theirs.status
    yield from _values("headers", ours.headers, theirs.headers)
    yield from _values("body", ours.body, theirs.body)


def _values(where: str, ours: Any, theirs: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in dict.fromkeys([*theirs, *ours]):
            yield from _values(f"{where}.{key}", ours.get(key, MISSING), theirs.get(key, MISSING))
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (mine, its) in enumerate(zip(ours, theirs, strict=True)):
            yield from _values(f"{where}.{index}", mine, its)
    elif type(ours) is not type(theirs) or _comparable(ours) != _comparable(theirs):
        yield where, ours, theirs


def _comparable(value: Any) -> Any:
    return PLACE.sub("into Go", value) if isinstance(value, str) else value
