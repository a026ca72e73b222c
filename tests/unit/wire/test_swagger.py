"""That the check of answers against the contract can fail, rule by rule."""

from typing import Any

import pytest

from tests.wire.swagger import Document, Problem, nameless

DOCUMENT = Document(
    {
        "definitions": {
            "Leaf": {
                "type": "object",
                "required": ["Name"],
                "properties": {
                    "Name": {"type": "string"},
                    "At": {"type": "string", "format": "dateTime", "x-nullable": True},
                    "Port": {"type": "integer", "format": "uint16"},
                    "Share": {"type": "number", "minimum": 0, "maximum": 1},
                    "Kind": {"type": "string", "enum": ["a", "b"]},
                    "Address": {"type": "string", "format": "ip-address"},
                    "Net": {"type": "string", "format": "CIDR"},
                    "Size": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
                    "Word": {"type": "string", "pattern": "^x", "minLength": 2},
                    "Any": {},
                    "Free": {"type": "object"},
                },
            },
            "Tree": {
                "allOf": [
                    {"$ref": "#/definitions/Leaf"},
                    {
                        "type": "object",
                        "required": ["On"],
                        "properties": {
                            "On": {"type": "boolean"},
                            "Leaves": {"type": "array", "items": {"$ref": "#/definitions/Leaf"}},
                            "ByName": {
                                "type": "object",
                                "additionalProperties": {"$ref": "#/definitions/Leaf", "x-nullable": True},
                            },
                        },
                    },
                ]
            },
        },
        "paths": {"/trees/{id}": {"get": {"operationId": "x"}}},
    }
)


def problems(name: str, value: Any) -> list[Problem]:
    return list(DOCUMENT.check(value, DOCUMENT.definition(name)))


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("Name", 5, "int is no string"),
        ("Name", None, "null"),
        ("At", None, ""),
        ("At", "2026-11-24T08:29:11.099755539Z", ""),
        ("At", "2026-11-24T08:29:11+01:00", ""),
        ("At", "2026-11-24 08:29:11", "'2026-11-24 08:29:11' is no dateTime"),
        ("At", "", "'' is no dateTime"),
        ("Port", 65535, ""),
        ("Port", 65536, "65536 is not between 0 and 65535"),
        ("Port", -1, "-1 is not between 0 and 65535"),
        ("Port", True, "bool is no integer"),
        ("Port", 1.0, "float is no integer"),
        ("Share", 0.5, ""),
        ("Share", 2, "2 is not between 0 and 1"),
        ("Kind", "c", "'c' is none of ['a', 'b']"),
        ("Address", "::1", ""),
        ("Address", "1.2.3", "'1.2.3' is no ip-address"),
        ("Net", "10.0.0.0/8", ""),
        ("Net", "10.0.0.0/40", "'10.0.0.0/40' is no CIDR"),
        ("Size", [1, 2], ""),
        ("Size", [1], "1 entries, not 2 to 2"),
        ("Size", {}, "dict is no array"),
        ("Word", "xy", ""),
        ("Word", "yx", "'yx' does not match ^x"),
        ("Word", "x", "'x' is too short or too long"),
        ("Any", None, ""),
        ("Any", {"a": [1]}, ""),
        ("Free", {"a": 1}, ""),
        ("Free", [], "list is no object"),
        ("Other", 1, "unknown field"),
    ],
)
def test_fields(field: str, value: Any, what: str) -> None:
    found = problems("Leaf", {"Name": "x", field: value})
    assert found == ([Problem(f".{field}", what)] if what else [])


def test_what_is_missing() -> None:
    assert problems("Leaf", {}) == [Problem(".Name", "missing")]
    assert problems("Tree", {}) == [Problem(".Name", "missing"), Problem(".On", "missing")]


def test_parts_of_a_whole() -> None:
    leaf: dict[str, Any] = {"Name": "x"}
    good = {"Name": "x", "On": True, "Leaves": [leaf], "ByName": {"a": leaf, "b": None}}
    assert problems("Tree", good) == []
    bad = {
        "Name": "x",
        "On": 1,
        "Leaves": [leaf, {}, {"name": "x", **leaf}],
        "ByName": {"a": {"Port": "1", **leaf}},
    }
    assert set(problems("Tree", bad)) == {
        Problem(".On", "int is no boolean"),
        Problem(".Leaves.*.Name", "missing"),
        Problem(".Leaves.*.name", "unknown field"),
        Problem(".ByName.*.Port", "str is no integer"),
    }


def test_operations_are_found_whatever_their_variables_are_called() -> None:
    assert ("GET", nameless("/trees/{name}")) in DOCUMENT.operations
