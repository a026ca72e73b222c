"""Answers of both daemons compared field by field, less the differences that are accepted."""

from collections.abc import Iterator
from typing import Any

from tests.peer.ledger import LEDGER, Request
from tests.peer.peer import Answer

MISSING = "(absent)"


def between(request: Request, ours: Answer, theirs: Answer) -> list[str]:
    """The differences of two answers that are not in the table, one line each."""
    return [
        f"{where}: {mine!r}, dockerd: {its!r}"
        for where, mine, its in _answers(ours, theirs)
        if not LEDGER.accepts(request, where)
    ]


def of_values(request: Request, ours: Any, theirs: Any) -> list[str]:
    """The same for two values, as if they were bodies of the answers to a request."""
    return [
        f"{where}: {mine!r}, dockerd: {its!r}"
        for where, mine, its in _values("body", ours, theirs)
        if not LEDGER.accepts(request, where)
    ]


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
    elif type(ours) is not type(theirs) or isinstance(ours, list) or MISSING in (ours, theirs):
        yield f"{where}!", ours, theirs
    elif ours != theirs:
        yield where, ours, theirs
