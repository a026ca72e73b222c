"""Shapes are remembered as long as what they are of, and not beyond: clients make that as large as they like."""

from typing import Any

import msgspec
import pytest

from api.schema import omission
from api.schema.omission import Shapes
from engine.containers.config import ContainerConfig, HostConfig


def test_a_shape_goes_with_its_noun() -> None:
    shapes = Shapes()
    config, host = ContainerConfig(entrypoint=["a" * 1000]), HostConfig()
    shaped = shapes.of(config)
    assert shaped["Entrypoint"] == ["a" * 1000]
    shapes.of(host)
    assert len(shapes) == 2
    del config
    assert len(shapes) == 1
    for _ in range(100):
        shapes.of(ContainerConfig())
    assert len(shapes) == 1


def test_a_shape_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    inner = omission._struct

    def make(noun: msgspec.Struct) -> dict[str, Any]:
        made.append(type(noun))
        return inner(noun)

    monkeypatch.setattr(omission, "_struct", make)
    shapes, config = Shapes(), ContainerConfig(hostname="a")
    first = shapes.of(config)
    first["Hostname"] = "changed"
    assert shapes.of(config)["Hostname"] == "a"
    assert made == [ContainerConfig]


def test_the_most_that_are_remembered() -> None:
    shapes = Shapes()
    nouns = [ContainerConfig() for _ in range(omission._REMEMBERED + 10)]
    for noun in nouns:
        shapes.of(noun)
    assert len(shapes) == omission._REMEMBERED
    nouns.clear()
    del noun
    assert len(shapes) == 0
