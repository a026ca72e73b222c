"""Steps that must not be left half done when whoever waits for them is cancelled."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


async def settled(step: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Run a blocking step in a thread; when we are cancelled, let it come to its end before that shows."""
    return await _to_its_end(asyncio.get_running_loop().run_in_executor(None, partial(step, *args, **kwargs)))


async def whole(work: Coroutine[Any, Any, _R]) -> _R:
    """Await a coroutine; when we are cancelled, however often, let it come to its end before that shows."""
    return await _to_its_end(asyncio.get_running_loop().create_task(work))


async def _to_its_end(running: asyncio.Future[_R]) -> _R:
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # asked for, so that asyncio does not complain that nobody did
        raise
