"""The control group of a running container, which may be ending that very moment."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import errdefs
from engine.containers.container import Container

T = TypeVar("T")


async def on_group(act: Callable[[int], T], container: Container) -> T:
    """Do something to a container's group by its init; Conflict when it is just ending."""
    try:
        return await asyncio.to_thread(act, container.state.pid)
    except errdefs.NotFound as error:
        raise errdefs.Conflict(f"container {container.id} is not running") from error
