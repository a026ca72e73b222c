"""Code that is loaded in part, or late. It lies here as every other package may use this one."""

import asyncio
import importlib
import importlib.util
import logging
import sys
from types import ModuleType
from typing import Any

import errdefs

_log = logging.getLogger(__name__)
_SKEWED = (ImportError, AttributeError, SyntaxError, TypeError)  # what code meets that was replaced in part
_loaded: dict[str, ModuleType] = {}


def enter(package: str, **known: object) -> None:
    """Have the package there for its modules to be found in, its own code, which would import all of them, not run;
    unless it was already. `known` is what its modules ask it for.
    """
    spec = importlib.util.find_spec(package)
    if package not in sys.modules and spec is not None:
        module = sys.modules[package] = importlib.util.module_from_spec(spec)
        vars(module).update(known)


async def later(name: str) -> Any:
    """A module that is loaded for the first who needs it, while the loop goes on.

    SystemFailure where it does not belong to what runs.
    """
    try:
        if name not in _loaded:
            _loaded[name] = await asyncio.to_thread(importlib.import_module, name)
        return _loaded[name]
    except _SKEWED as error:
        _log.error("%s cannot be loaded", name, exc_info=True)
        raise errdefs.SystemFailure(
            f"{name} cannot be loaded: {error}; if wherry was upgraded, restart the daemon"
        ) from error
