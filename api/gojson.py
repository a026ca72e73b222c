"""Request bodies as Go's decoder reads them, into msgspec Structs.

Names match case-insensitively, unknown ones are ignored, `null` leaves the zero value, a wrong type is an
error that names the field, and nothing may follow the document.
"""

import functools
import re
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

import errdefs

_NO_TEXT = re.compile("[\udc80-\udcff]")  # how Python has bytes that are not UTF-8

_INT64 = range(-(2**63), 2**63)

_KINDS: dict[type, str] = {
    bool: "bool",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
_NUMBERS = (int, float)

T = TypeVar("T")


class _Mismatch(Exception):  # noqa: N818 - a signal inside this module, never seen outside
    def __init__(self, kind: str, wanted: str) -> None:
        super().__init__(kind, wanted)
        self.kind = kind
        self.wanted = wanted
        self.path: list[str] = []


class _Plan(msgspec.Struct, frozen=True):
    """How a type is read: from a value that is not null, and what null is."""

    convert: Callable[[Any], Any]
    zero: Callable[[], Any]


def parse(body: bytes) -> Any:
    """The JSON document of a body as plain values. InvalidArgument with Docker's texts for bad JSON."""
    if not body.strip():
        raise errdefs.InvalidArgument("invalid JSON: got EOF while reading request body")
    try:
        return _document(body)
    except msgspec.DecodeError as error:
        raise errdefs.InvalidArgument(_syntax(str(error))) from None
    except RecursionError:
        raise errdefs.InvalidArgument("invalid JSON: exceeded max depth") from None


def _document(body: bytes) -> Any:
    """Bytes in a string that are no UTF-8 are U+FFFD to Go."""
    try:
        return msgspec.json.decode(body)
    except UnicodeError:
        return msgspec.json.decode(body.decode(errors="replace"))


def convert(value: Any, kind: type[T]) -> T:
    """Plain values as a Struct; null is the Struct with its zero values. InvalidArgument names the field."""
    plan = _plan(typing.cast("Any", kind))
    try:
        result: T = plan.zero() if value is None else plan.convert(value)
    except _Mismatch as mismatch:
        place = ".".join([kind.__name__, *reversed(mismatch.path)])
        into = f"Go struct field {place}" if mismatch.path else "Go value"
        raise errdefs.InvalidArgument(
            f"invalid JSON: json: cannot unmarshal {mismatch.kind} into {into} of type {mismatch.wanted}"
        ) from None
    return result


def decode(body: bytes, kind: type[T]) -> T:
    """A body as a Struct."""
    return convert(parse(body), kind)


def _syntax(text: str) -> str:
    if "trailing characters" in text:
        return "unexpected content after JSON"
    if "truncated" in text:
        return "invalid JSON: unexpected EOF"
    return f"invalid JSON: {text}"


def _kind(value: Any, *, literal: bool = False) -> str:
    kind = _KINDS.get(type(value), "value")
    return f"{kind} {value}" if literal and type(value) in _NUMBERS else kind


@functools.cache
def _plan(kind: Any) -> _Plan:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        return _Plan(_plan(inner).convert, _none)
    if origin is list:
        return _list_plan(_plan(arguments[0]))
    if origin is dict:
        return _dict_plan(_plan(arguments[1]))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct_plan(kind)
    return _SCALARS[kind]


def _none() -> None:
    return None


def _struct_plan(kind: type[msgspec.Struct]) -> _Plan:
    fields = {
        field.encode_name.casefold(): (field.name, field.encode_name, _plan(field.type).convert)
        for field in msgspec.structs.fields(kind)
    }

    def read(value: Any) -> Any:
        if type(value) is not dict:
            raise _Mismatch(_kind(value), kind.__name__)
        given: dict[str, Any] = {}
        for key, item in value.items():
            field = fields.get(key.casefold())
            if field is None or item is None:
                continue
            try:
                given[field[0]] = field[2](item)
            except _Mismatch as mismatch:
                mismatch.path.append(field[1])
                raise
        return kind(**given)

    return _Plan(read, kind)


def _list_plan(item: _Plan) -> _Plan:
    def read(value: Any) -> Any:
        if type(value) is not list:
            raise _Mismatch(_kind(value), "[]string" if item is _SCALARS[str] else "[]")
        return [item.zero() if entry is None else item.convert(entry) for entry in value]

    return _Plan(read, list)


def _dict_plan(item: _Plan) -> _Plan:
    def read(value: Any) -> Any:
        if type(value) is not dict:
            raise _Mismatch(_kind(value), "map[string]string" if item is _SCALARS[str] else "map")
        return {key: item.zero() if entry is None else item.convert(entry) for key, entry in value.items()}

    return _Plan(read, dict)


def _string(value: Any) -> str:
    if type(value) is not str:
        raise _Mismatch(_kind(value), "string")
    return value


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise _Mismatch(_kind(value), "bool")
    return value


def _int(value: Any) -> int:
    if type(value) is not int or value not in _INT64:
        raise _Mismatch(_kind(value, literal=True), "int64")
    return value


def _anything(value: Any) -> Any:
    return value


_SCALARS: dict[Any, _Plan] = {
    str: _Plan(_string, str),
    bool: _Plan(_bool, bool),
    int: _Plan(_int, int),
    object: _Plan(_anything, dict),
    Any: _Plan(_anything, dict),
}


def readable(text: str) -> str:
    """Text that JSON can have: with U+FFFD for each byte that is not UTF-8, as Go's encoder writes it."""
    return _NO_TEXT.sub("\ufffd", text)
