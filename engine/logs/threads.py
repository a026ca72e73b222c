"""What readers of logs share: files are read in threads, and the end of a container wakes who waits."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

import errdefs
from engine.logs.inotify import News

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """What `work` returns. When cancelled it waits for the thread: it uses descriptors that are closed next."""
    future = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(future)
    except OSError as error:
        raise errdefs.SystemFailure(f"cannot read the log: {error.strerror}") from error
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise


def wake_when(ended: asyncio.Event, news: News, stack: ExitStack) -> None:
    """Have the end of the container wake the reader, until the stack is closed."""

    async def tell() -> None:
        await ended.wait()
        news.set()

    task = asyncio.get_running_loop().create_task(tell())
    stack.callback(task.cancel)
