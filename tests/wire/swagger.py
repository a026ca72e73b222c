"""Values against schemas of an OpenAPI 2.0 document, as strictly as it can be read: what is not named is wrong.

Written here for two reasons: in a JSON schema a field that is not named is welcome and null is a type of its own, while
of this contract unknown fields are to be found, and null is only where `x-nullable` says so.
"""

import ipaddress
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

_RANGES = {
    "uint8": (0, 2**8 - 1),
    "uint16": (0, 2**16 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
    "int": (-(2**63), 2**63 - 1),
    "int64": (-(2**63), 2**63 - 1),
}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_DEFINITION = "#/definitions/"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a value: where, with names of fields alone ("*" for an entry), and what."""

    where: str
    what: str


class Document:
    """An OpenAPI document: its operations, and checks of values against its schemas."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._definitions: Mapping[str, Schema] = document["definitions"]
        self._flat: dict[int, Schema] = {}
        self.operations: dict[tuple[str, str], Mapping[str, Any]] = {
            (method.upper(), nameless(path)): operation
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        }

    def definition(self, name: str) -> Schema:
        """A schema by its name."""
        return self._definitions[name]

    def check(self, value: Any, schema: Schema, where: str = "") -> Iterator[Problem]:
        """Everything that is wrong with a value."""
        schema = self._resolved(schema)
        if value is None:
            if schema.get("type") and not schema.get("x-nullable"):
                yield Problem(where, "null")
            return
        kind = schema.get("type") or ("object" if "properties" in schema else "")
        known = _KINDS.get(kind)
        if known is not None and not known(value):
            yield Problem(where, f"{type(value).__name__} is no {kind}")
            return
        if "enum" in schema and value not in schema["enum"]:
            yield Problem(where, f"{value!r} is none of {schema['enum']}")
        match kind:
            case "object":
                yield from self._object(value, schema, where)
            case "array":
                yield from self._array(value, schema, where)
            case "string":
                yield from _string(value, schema, where)
            case "integer" | "number":
                yield from _number(value, schema, where)

    def _object(self, value: dict[str, Any], schema: Schema, where: str) -> Iterator[Problem]:
        properties: Mapping[str, Schema] = schema.get("properties", {})
        others = schema.get("additionalProperties", not properties)
        for name in schema.get("required", ()):
            if name not in value:
                yield Problem(f"{where}.{name}", "missing")
        for name, entry in value.items():
            if name in properties:
                yield from self.check(entry, properties[name], f"{where}.{name}")
            elif isinstance(others, Mapping):
                yield from self.check(entry, others, f"{where}.*")
            elif not others:
                yield Problem(f"{where}.{name}", "unknown field")

    def _array(self, value: list[Any], schema: Schema, where: str) -> Iterator[Problem]:
        least, most = schema.get("minItems", 0), schema.get("maxItems", len(value))
        if not least <= len(value) <= most:
            yield Problem(where, f"{len(value)} entries, not {least} to {most}")
        for entry in value:
            yield from self.check(entry, schema.get("items", {}), f"{where}.*")

    def _resolved(self, schema: Schema) -> Schema:
        """A schema without `$ref` and `allOf`; what stands beside them counts more."""
        found = self._flat.get(id(schema))
        if found is None:
            found = self._flat[id(schema)] = self._merged(schema)
        return found

    def _merged(self, schema: Schema) -> Schema:
        parts = [self._resolved(part) for part in schema.get("allOf", ())]
        if "$ref" in schema:
            parts.append(self._resolved(self._definitions[schema["$ref"].removeprefix(_DEFINITION)]))
        if not parts:
            return schema
        merged: dict[str, Any] = {}
        for part in [*parts, {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}]:
            properties = {**merged.get("properties", {}), **part.get("properties", {})}
            required = [*merged.get("required", ()), *part.get("required", ())]
            merged |= part
            if properties:
                merged |= {"properties": properties, "required": required}
        return merged


def nameless(path: str) -> str:
    """A path by which one document's can be found in another: names of variables do not matter."""
    return re.sub(r"\{[^}]*\}", "{}", path)


_KINDS: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
}


def _string(value: str, schema: Schema, where: str) -> Iterator[Problem]:
    pattern, form = schema.get("pattern"), str(schema.get("format", "")).lower()
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        yield Problem(where, f"{value!r} is too short or too long")
    if pattern and not re.search(pattern, value):
        yield Problem(where, f"{value!r} does not match {pattern}")
    if (check := _FORMATS.get(form)) is not None and not check(value):
        yield Problem(where, f"{value!r} is no {schema['format']}")


def _number(value: float, schema: Schema, where: str) -> Iterator[Problem]:
    least, most = _RANGES.get(schema.get("format", ""), (-math.inf, math.inf))
    least, most = max(least, schema.get("minimum", least)), min(most, schema.get("maximum", most))
    if not least <= value <= most:
        yield Problem(where, f"{value} is not between {least} and {most}")


def _parses(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def check(value: str) -> bool:
        try:
            parse(value)
        except ValueError:
            return False
        return True

    return check


_FORMATS: dict[str, Callable[[str], object]] = {
    "datetime": _TIME.fullmatch,
    "date-time": _TIME.fullmatch,
    "ip-address": _parses(ipaddress.ip_address),
    "cidr": _parses(lambda text: ipaddress.ip_network(text, strict=False)),
}
