"""JSON documents that strangers wrote: image configs, manifests, indexes.

Read strictly where two readers could disagree (a key twice, NaN, lone surrogates) and loosely where Go's
decoder, for which they were written, is loose: names of fields match without regard to case, `null` is the
zero value.
"""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

import msgspec

import errdefs

MAX_BYTES = 4 << 20
"""As registries and containerd have it."""
MAX_VALUES = 100_000
"""In one document: each takes up to 200 bytes here, however short it is. The manifest.json of 300 images has them."""
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_AT_ONCE = 64 << 10  # bytes that are read in a millisecond; 4 MiB may take a tenth of a second
_T = TypeVar("_T")
_More = TypeVarTuple("_More")


async def off_loop(reader: Callable[[bytes, *_More], _T], raw: bytes, *more: *_More) -> _T:
    """What `reader` makes of a document, by a thread where it is large."""
    if len(raw) <= _AT_ONCE:
        return reader(raw, *more)
    return await asyncio.to_thread(reader, raw, *more)


def decode(raw: bytes, what: str) -> Any:
    """The document as plain values. InvalidArgument naming `what`: too large, too deep, ambiguous."""
    if len(raw) > MAX_BYTES:
        raise errdefs.InvalidArgument(f"invalid {what}: larger than {MAX_BYTES} bytes")
    if _strings(raw) > 2 * MAX_VALUES or (
        _values(raw) > MAX_VALUES and _values(_STRING.sub(b"", raw)) > MAX_VALUES
    ):
        raise errdefs.InvalidArgument(f"invalid {what}: it has more than {MAX_VALUES} values")
    try:
        msgspec.json.decode(raw)  # refuses bad UTF-8, lone surrogates, NaN and numbers that are none
        return json.loads(raw, object_pairs_hook=_without_repeats)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise errdefs.InvalidArgument(f"invalid {what}: {error}") from None


def read(raw: bytes, kind: type[_T], what: str) -> _T:
    """The document as a struct; unknown fields are ignored. InvalidArgument as `decode` and `shape`."""
    return shape(decode(raw, what), kind, what)


def shape(document: Any, kind: type[_T], what: str) -> _T:
    """Plain values as a struct of that kind. InvalidArgument naming `what` and the field of a wrong type."""
    try:
        return msgspec.convert(_normalise(document, msgspec.inspect.type_info(kind)), kind)
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        raise errdefs.InvalidArgument(f"invalid {what}: {error}") from None


def _values(raw: bytes) -> int:
    """As many values as the document has, or more: what strings hold is counted, too."""
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{") + 1


def _strings(raw: bytes) -> int:
    """About as many strings as the document has, keys among them: they are counted before any is looked at."""
    return (raw.count(b'"') - raw.count(b'\\"')) // 2


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"key {repeated[:64]!r} is given twice")
    return members


def _normalise(value: Any, kind: msgspec.inspect.Type) -> Any:
    """Rewrite a value so that a strict conversion to `kind` accepts what Go's decoder does."""
    kind = _without_none(kind)
    if value is None:
        return _zero(kind)
    if isinstance(kind, msgspec.inspect.StructType) and isinstance(value, dict):
        return _members(value, kind)
    if isinstance(kind, msgspec.inspect.ListType):
        if isinstance(value, list):
            return [_normalise(item, kind.item_type) for item in value]
        if isinstance(value, str) and isinstance(kind.item_type, msgspec.inspect.StrType):
            return [value]  # Cmd and Entrypoint were single strings once
    if isinstance(kind, msgspec.inspect.IntType) and isinstance(value, int) and not _fits(value):
        raise ValueError("a number is out of range")
    if isinstance(kind, msgspec.inspect.DictType) and isinstance(value, dict):
        return {key: _normalise(item, kind.value_type) for key, item in value.items()}
    return value


def _members(value: dict[str, Any], kind: msgspec.inspect.StructType) -> dict[str, Any]:
    fields = {field.encode_name.lower(): field for field in kind.fields}
    members: dict[str, Any] = {}
    for key, item in value.items():
        field = fields.get(key.lower())
        if field is None:
            continue
        if field.encode_name in members:
            raise ValueError(f"key {field.encode_name!r} is given twice")
        members[field.encode_name] = item
    return {
        name: _normalise(item, fields[name.lower()].type)
        for name, item in members.items()
        if item is not None
    }


def _fits(value: int) -> bool:
    return -(2**63) <= value < 2**63


def _without_none(kind: msgspec.inspect.Type) -> msgspec.inspect.Type:
    if isinstance(kind, msgspec.inspect.UnionType):
        return next(each for each in kind.types if not isinstance(each, msgspec.inspect.NoneType))
    return kind


def _zero(kind: msgspec.inspect.Type) -> Any:
    zeros: dict[type[msgspec.inspect.Type], Any] = {
        msgspec.inspect.StrType: "",
        msgspec.inspect.IntType: 0,
        msgspec.inspect.BoolType: False,
        msgspec.inspect.ListType: [],
        msgspec.inspect.DictType: {},
        msgspec.inspect.StructType: {},
    }
    return zeros.get(type(kind))
