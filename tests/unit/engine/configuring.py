"""Configurations of flags and files, and how they are refused."""

from collections.abc import Callable
from typing import Any

import pytest

import errdefs
from engine.config import Config, load

Written = Callable[[Any], list[str]]


def load_flags(*argv: str) -> Config:
    """Without any file."""
    return load(["--config-file", "", *argv])


def refusal(argv: list[str]) -> str:
    """What is said of flags that cannot be."""
    with pytest.raises(errdefs.InvalidArgument) as refused:
        load(argv)
    return refused.value.message
