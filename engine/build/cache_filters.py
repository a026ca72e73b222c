"""Which records of the build cache are meant: Docker's filters, and BuildKit's, which those are made into. Pure."""

import re
import time
from collections.abc import Callable, Sequence

import msgspec

import errdefs
from engine.build.solver.records import Record
from engine.expressions import compile_bounded
from engine.filters import Filters
from engine.images import moments

_VALUED = ("id", "parent", "type", "description")
_BARE = ("inuse", "shared", "private")
_SINGLE = (*_VALUED, *_BARE)
_AGES = ("until", "unused-for")
_KNOWN = frozenset((*_SINGLE, *_AGES, "label", "label!"))
_TERM = re.compile(r'([a-z.]+)(?:(==|!=|~=)("(?:[^"\\]|\\.)*"|[^,]*))?(?:,|$)')


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """A record as it is now. `shared`: an image has its layers as well, so that they stay if it goes.

    `size` are the bytes of all that it has, `own` of what neither an image nor an older record has as well.
    """

    record: Record
    in_use: bool
    shared: bool
    size: int
    own: int


Match = Callable[[Usage], bool]


def of_docker(filters: Filters) -> tuple[list[str], int]:
    """Docker's filters as one of BuildKit's, and for how many nanoseconds a record must have been of no use.

    InvalidArgument, in Docker's words, for filters that there are not, and values that cannot be.
    """
    filters.require_known(_KNOWN)
    unused = _unused_for(filters)
    if any(len(filters.values(key)) > 1 for key in _SINGLE):
        raise errdefs.InvalidArgument("filters expect only one value")
    terms = [_term(key, filters.values(key)) for key in _SINGLE if key in filters]
    return ([",".join(terms)] if terms else []), unused


def _term(key: str, values: Sequence[str]) -> str:
    if not values or key in _BARE:
        return key
    return f"{key}~={values[0]}" if key == "id" else f"{key}=={values[0]}"


def _unused_for(filters: Filters) -> int:
    ages = [(key, text) for key in _AGES for text in filters.values(key)]
    if len({key for key, _ in ages}) > 1:
        raise errdefs.InvalidArgument('conflicting filters: "until" and "unused-for"')
    if len(ages) > 1:
        raise errdefs.InvalidArgument("filters expect only one value")
    now = time.time_ns()
    for key, text in ages:
        try:
            return max(now - moments.parse(text, now), 0)
        except errdefs.InvalidArgument as error:
            raise errdefs.InvalidArgument(
                f"\"{key}\" filter expects a duration (e.g., '24h') or a timestamp: {error.message}"
            ) from None
    return 0


def matching(filters: Sequence[str]) -> Match:
    """Whether one of BuildKit's filters means a record; without any, all are meant.

    Each is of terms between commas: "shared", "type==regular", "id~=^ab". InvalidArgument for what is none.
    """
    wanted = [_terms(text) for text in filters if text]
    return lambda usage: not wanted or any(all(term(usage) for term in terms) for terms in wanted)


def _terms(text: str) -> list[Match]:
    terms: list[Match] = []
    at = 0
    while at < len(text):
        found = _TERM.match(text, at)
        if found is None:
            raise errdefs.InvalidArgument(f'parse error: invalid filter "{text[:100]}"')
        terms.append(_match(found[1], found[2] or "", (found[3] or "").strip('"')))
        at = found.end()
    return terms


def _match(field: str, operator: str, value: str) -> Match:
    if operator == "~=":
        try:
            pattern = compile_bounded(value)
        except errdefs.InvalidArgument:
            return lambda _: False  # as BuildKit takes what is no expression
        return lambda usage: pattern.search(_field(usage, field) or "") is not None
    if operator == "==":
        return lambda usage: _field(usage, field) == value
    if operator == "!=":
        return lambda usage: (_field(usage, field) or "") != value
    return lambda usage: _field(usage, field) is not None


def _field(usage: Usage, field: str) -> str | None:
    """The value of a field, None where a record has none; "" of those that are there or not."""
    record = usage.record
    known = {
        "id": record.id,
        "parent": record.parent,
        "parents": record.parent,
        "description": record.description,
        "type": record.kind,
    }
    if field in known:
        return known[field] or None
    present = {
        "inuse": usage.in_use,
        "shared": usage.shared,
        "private": not usage.shared,
        "mutable": bool(record.directory),
        "immutable": not record.directory,
    }
    return "" if present.get(field, False) else None
