"""Filters of lists, prunes and events: parsed from the wire, matched by Docker's rules.

On the wire a filter is JSON, `{"label": ["a=b", "c"]}`, or the older `{"label": {"a=b": true}}`. Keys are
joined by "and"; what the values of one key do is up to the matching method.
"""

from collections.abc import Iterable, Mapping

import msgspec

import errdefs
from engine.expressions import compile_bounded

_by_map = msgspec.json.Decoder(dict[str, dict[str, bool] | None] | None)
_by_list = msgspec.json.Decoder(dict[str, list[str] | None] | None)


class Filters:
    """What a request filters by. Empty means: everything."""

    def __init__(self, fields: Mapping[str, Mapping[str, bool]] | None = None) -> None:
        self._fields = {key: dict(values) for key, values in (fields or {}).items()}

    @classmethod
    def of(cls, **fields: Iterable[str]) -> "Filters":
        """Filters as code writes them: `Filters.of(label=["a=b"])`."""
        return cls({key: dict.fromkeys(values, True) for key, values in fields.items()})

    def __bool__(self) -> bool:
        return bool(self._fields)

    def __contains__(self, key: str) -> bool:
        return key in self._fields

    def __repr__(self) -> str:
        return f"Filters({self._fields!r})"

    def keys(self) -> list[str]:
        """The keys that are filtered by."""
        return list(self._fields)

    def values(self, key: str) -> list[str]:
        """The values of a key in the order they were given; empty if the key is not filtered by."""
        return list(self._fields.get(key, ()))

    def without(self, key: str) -> "Filters":
        """The same filters but for one key."""
        return Filters({name: values for name, values in self._fields.items() if name != key})

    def exact(self, key: str, source: str) -> bool:
        """Whether `source` is one of the values, or the key is not filtered by."""
        values = self._fields.get(key)
        return not values or values.get(source, False)

    def fuzzy(self, key: str, source: str) -> bool:
        """Whether `source` is, or begins with, one of the values, or the key is not filtered by."""
        return self.exact(key, source) or source.startswith(tuple(self._fields[key]))

    def match(self, key: str, source: str) -> bool:
        """Whether `source` is one of the values or one of them, as a regular expression, is found in it.

        Values that are no expressions match nothing more, and neither do expressions that Python could take
        exponential time for (repeated groups, more than three repeats): they would halt the daemon.
        """
        if self.exact(key, source):
            return True
        return any(_found(pattern, source) for pattern in self._fields[key])

    def labels(self, key: str, labels: Mapping[str, str] | None) -> bool:
        """Whether every value, `name` or `name=value`, is among the labels, or the key is not filtered by."""
        wanted = self._fields.get(key)
        if not wanted:
            return True
        return all(_has_label(labels or {}, want) for want in wanted)

    def any_label(self, key: str, labels: Mapping[str, str] | None) -> bool:
        """Whether a value at least is among the labels; False if the key is not filtered by (`label!`)."""
        return any(_has_label(labels or {}, want) for want in self._fields.get(key, ()))

    def boolean(self, key: str, default: bool) -> bool:
        """The value of a key as "1", "true", "0" or "false"; InvalidArgument for others or for both."""
        values = self._fields.get(key)
        if values is None:
            return default
        no = values.get("0", False) or values.get("false", False)
        yes = values.get("1", False) or values.get("true", False)
        if no == yes:
            shown = f"={self._shown(key)}" if values else ""
            raise errdefs.InvalidArgument(f"invalid filter '{key}{shown}'")
        return yes

    def invalid(self, key: str) -> errdefs.InvalidArgument:
        """The error, in Docker's words, that the values of a key make no sense."""
        return errdefs.InvalidArgument(f"invalid filter '{key}={self._shown(key)}'")

    def require_known(self, allowed: Iterable[str]) -> None:
        """Pass if all keys are among the allowed; else InvalidArgument naming the first that is not."""
        known = frozenset(allowed)
        for key in self._fields:
            if key not in known:
                raise errdefs.InvalidArgument(f"invalid filter '{key}'")

    def _shown(self, key: str) -> str:
        return "[" + " ".join(self._fields.get(key, ())) + "]"


def parse(raw: str | None, allowed: frozenset[str]) -> Filters:
    """Read a `filters` parameter; a missing or empty one filters nothing.

    InvalidArgument with Docker's texts: "invalid filter" for what is not in one of the two forms,
    "invalid filter 'x'" for a key that is not allowed.
    """
    filters = read(raw)
    filters.require_known(allowed)
    return filters


def read(raw: str | None) -> Filters:
    """The same, whatever its keys are."""
    return Filters(_decode(raw)) if raw else Filters()


def _decode(raw: str) -> dict[str, dict[str, bool]]:
    try:
        fields = _by_map.decode(raw) or {}
        return {key: values or {} for key, values in fields.items()}
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        lists = _by_list.decode(raw) or {}
        return {key: dict.fromkeys(values or (), True) for key, values in lists.items()}
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise errdefs.InvalidArgument("invalid filter") from None


def _has_label(labels: Mapping[str, str], wanted: str) -> bool:
    name, separator, value = wanted.partition("=")
    return name in labels and (not separator or labels[name] == value)


def _found(pattern: str, source: str) -> bool:
    try:
        return compile_bounded(pattern).search(source) is not None
    except errdefs.InvalidArgument:
        return False
