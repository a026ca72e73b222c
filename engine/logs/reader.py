"""Reading a container's json-file log, from its tail or its beginning, once or for as long as it grows."""

import asyncio
import functools
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from typing import TypeVar

import errdefs
from engine.logs.files import LogFiles
from engine.logs.inotify import News, watching
from engine.logs.rendering import LogQuery, Renderer

__all__ = ["LogQuery", "read"]

_POLL = 0.25  # seconds between looks where the kernel does not tell

T = TypeVar("T")


async def read(path: str | os.PathLike[str], query: LogQuery, ended: asyncio.Event) -> AsyncIterator[bytes]:
    """The log at `path` as the query asks for it, in batches of bytes ready to be sent.

    With `query.follow` it goes on through rotations until `ended` is set and all was read; else it stops
    where the log ends now. A file that is not there is an empty log. Files are read in threads, but for
    the few new lines that the kernel has in memory.
    """
    following = query.follow and not ended.is_set()
    files = LogFiles(os.fspath(path))
    renderer = Renderer(query)
    news = News()
    with ExitStack() as stack:
        stack.callback(files.close)
        told = True
        if following:
            told = stack.enter_context(watching(_directory(path), news))
            _wake_when(ended, news, stack)
        is_open = await _in_thread(functools.partial(files.open, query.tail, follow=following))
        at_end = False
        while not renderer.finished:
            glance = not news.take() and at_end and told
            over = ended.is_set() or not following
            if not is_open and following:
                is_open = await _in_thread(functools.partial(files.open, None, follow=True))
            lines = files.glance() if glance and not over else None
            if lines is not None:
                batch, more = renderer.render(lines) if lines else b"", False
            elif is_open:
                batch, more = await _in_thread(functools.partial(_step, files, renderer, last=over))
                at_end = not more
            else:
                batch, more = b"", False
            if batch:
                yield batch
            if not more and (over or not await _woken(news, query.until_ns, told=told)):
                return


def _step(files: LogFiles, renderer: Renderer, *, last: bool) -> tuple[bytes, bool]:
    """A batch, and whether there may be more at once."""
    while lines := files.read(last=last):
        if batch := renderer.render(lines):
            return batch, not renderer.finished
        if renderer.finished:
            break
    return b"", False


async def _woken(news: News, until_ns: int | None, *, told: bool) -> bool:
    """Wait for news; False when `until` has come."""
    timeout = None if told else _POLL
    if until_ns is not None:
        left = (until_ns - time.time_ns()) / 1e9
        if left <= 0:
            return False
        timeout = left if timeout is None else min(left, timeout)
    if timeout is None:
        await news.wait()
        return True
    try:
        async with asyncio.timeout(timeout):
            await news.wait()
    except TimeoutError:
        return until_ns is None or time.time_ns() < until_ns
    return True


def _wake_when(ended: asyncio.Event, news: News, stack: ExitStack) -> None:
    """Have the end of the container wake the reader, until the stack is closed."""

    async def tell() -> None:
        await ended.wait()
        news.set()

    task = asyncio.get_running_loop().create_task(tell())
    stack.callback(task.cancel)


def _directory(path: str | os.PathLike[str]) -> str:
    return os.path.dirname(os.path.abspath(path))


async def _in_thread(work: Callable[[], T]) -> T:
    """What `work` returns. When cancelled it waits for the thread: it uses descriptors that are closed next."""
    future = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(future)
    except OSError as error:
        raise errdefs.SystemFailure(f"cannot read the log: {error.strerror}") from error
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise
