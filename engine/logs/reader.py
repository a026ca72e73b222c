"""Reading a container's json-file log, from its tail or its beginning, once or for as long as it grows."""

import asyncio
import functools
import os
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack

from engine.logs.files import LogFiles
from engine.logs.inotify import News, watching
from engine.logs.rendering import LogQuery, Renderer
from engine.logs.threads import in_thread, wake_when

__all__ = ["LogQuery", "read"]

_POLL = 0.25  # seconds between looks where the kernel does not tell


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
            wake_when(ended, news, stack)
        is_open = await in_thread(functools.partial(files.open, query.tail, follow=following))
        at_end = False
        while not renderer.finished:
            glance = not news.take() and at_end and told
            over = ended.is_set() or not following
            if not is_open and following:
                is_open = await in_thread(functools.partial(files.open, None, follow=True))
            lines = files.glance() if glance and not over else None
            if lines is not None:
                batch, more = renderer.render(lines) if lines else b"", False
            elif is_open:
                batch, more = await in_thread(functools.partial(_step, files, renderer, last=over))
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


def _directory(path: str | os.PathLike[str]) -> str:
    return os.path.dirname(os.path.abspath(path))
