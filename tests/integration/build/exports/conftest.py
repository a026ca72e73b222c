"""Exports and caches of builds, by the official CLI with buildx."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.build.buildkit.conftest import buildx
from tests.integration.build.classic.conftest import no_leftovers
from tests.registries import DebianRegistry

__all__ = ["no_leftovers"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without buildx there are no exports."""
    if not buildx():
        for item in items:
            item.add_marker(pytest.mark.skip(reason="needs buildx"))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[DebianRegistry]:
    """A registry of its own."""
    registry = DebianRegistry(tmp_path / "registry")
    registry.start()
    yield registry
    registry.stop()
