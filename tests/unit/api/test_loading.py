"""Code that is loaded late."""

import pytest

import errdefs
from plugins.loading import later


async def test_what_is_not_there_any_more_is_told() -> None:
    with pytest.raises(errdefs.SystemFailure, match="restart the daemon"):
        await later("engine.registry.removed")


async def test_a_module_is_loaded_once() -> None:
    assert await later("engine.registry.sessions") is await later("engine.registry.sessions")
