"""`docker cp`: the door to single files of containers, as archives; containers may run, stand still or wait."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from typing import Any, NamedTuple

import errdefs
from engine import faults
from engine.containers import sources
from engine.containers.announce import Announcer
from engine.containers.container import Container
from engine.containers.export import require_files
from engine.containers.live import Live, Lives
from engine.containers.machinery import Machinery
from engine.containers.sight import mounted, view_of
from engine.containers.store import ContainerStore
from runtime.archive.copy import Copy
from runtime.archive.order import PathStat
from runtime.archive.workers import Workers

__all__ = ["POINTS", "Archives", "Found", "PathStat"]

POINTS = ("copy.opened", "copy.found", "copy.flows")
"""Points at which the crash tests kill the daemon."""
_TRIES = 5
_PATIENCE = 5.0  # seconds


class Found(NamedTuple):
    """A file, and the archive of it in chunks of up to a megabyte."""

    stat: PathStat
    chunks: AsyncIterator[bytes]


class Archives:
    """Copies from and to all containers. NotFound for a container or a file that is not there, in Docker's words."""

    def __init__(
        self,
        machinery: Machinery,
        store: ContainerStore,
        lives: Lives,
        announcer: Announcer,
        workers: Workers,
    ) -> None:
        self._machinery = machinery
        self._store = store
        self._lives = lives
        self._announcer = announcer
        self._workers = workers

    async def stat(self, reference: str, path: str) -> PathStat:
        """The facts of a file; InvalidArgument for a path that cannot be one."""
        async with self._open(reference, {"verb": "stat", "path": path}) as (_, copy):
            return copy.stat

    @asynccontextmanager
    async def get(self, reference: str, path: str, encoding: str = "") -> AsyncGenerator[Found, None]:
        """A file, or a directory with all in it; compressed if HTTP's `encoding` is "gzip" or "deflate".

        What fails in the middle breaks the chunks off.
        """
        order = {"verb": "get", "path": path, "encoding": encoding}
        async with self._open(reference, order) as (container, copy):
            await self._announcer.tell(container, "archive-path")
            async with aclosing(_flowing(copy.chunks())) as chunks:
                yield Found(copy.stat, chunks)

    async def put(
        self,
        reference: str,
        path: str,
        archive: AsyncIterator[bytes],
        *,
        as_user: bool = False,
        keep_kinds: bool = False,
    ) -> None:
        """Unpack an archive, compressed or not, in a directory; InvalidArgument if that cannot be.

        All files become the container's user's if that is asked for. With `keep_kinds` no directory takes the place of
        something else, nor the other way round. What was unpacked before a failure stays, as in Docker.
        """
        order = {"verb": "put", "path": path, "as_user": as_user, "keep_kinds": keep_kinds}
        async with self._open(reference, order) as (container, copy), aclosing(_flowing(archive)) as chunks:
            await copy.feed(chunks)
        await self._announcer.tell(container, "extract-to-dir")

    @asynccontextmanager
    async def _open(
        self, reference: str, order: dict[str, Any]
    ) -> AsyncGenerator[tuple[Container, Copy], None]:
        """A worker that has gone into a container's files and found what it was asked for."""
        container_id = self._store.get(reference).id
        live = self._lives.of(container_id)
        for _ in range(_TRIES):
            run = live.task
            async with AsyncExitStack() as held:
                opening = await held.enter_async_context(AsyncExitStack())
                try:
                    container, copy = await self._begin(container_id, reference, order, held, opening)
                    faults.hit("copy.opened")
                    await _found(copy, order["path"], reference)
                    await opening.aclose()
                except errdefs.Unavailable:  # it has ended meanwhile
                    await held.aclose()
                    if live.task is run:  # else it has started again
                        await _ended(live)
                    continue
                faults.hit("copy.found")
                yield container, copy
                return
        raise errdefs.Conflict(f"container {reference} starts and ends too often to copy from it or to it")

    async def _begin(
        self,
        container_id: str,
        reference: str,
        order: dict[str, Any],
        held: AsyncExitStack,
        opening: AsyncExitStack,
    ) -> tuple[Container, Copy]:
        """A container that does not run stays locked: its root must not be mounted twice.

        What is needed until the worker is inside is in `opening`.
        """
        live = self._lives.of(container_id)
        lock = await held.enter_async_context(AsyncExitStack())
        await lock.enter_async_context(live.lock)
        container = self._store.find(container_id)
        if container is None:
            raise errdefs.NotFound(f"No such container: {reference}")
        require_files(container, "copy from or to")
        namespace, elsewhere = None, dict[str, str]()
        if container.running:
            if live.task is None:
                raise errdefs.Unavailable(f"container {container_id} has ended")
            namespace = live.task.mounts()
            opening.callback(os.close, namespace)
            await lock.aclose()
        else:
            elsewhere = await held.enter_async_context(sources.seen(container, self._machinery))
        await opening.enter_async_context(mounted(container, self._machinery))
        view = view_of(container, elsewhere, self._machinery, self._store, self._workers.at)
        user = container.config.user if order.get("as_user") else ""
        copying = self._workers.copy(view, namespace, {**order, "user": user})
        return container, await held.enter_async_context(copying)


async def _ended(live: Live) -> None:
    """Wait for the end of a container that is ending."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            await live.ended.wait()


async def _found(copy: Copy, path: str, reference: str) -> None:
    try:
        await copy.found()
    except errdefs.NotFound as error:
        raise errdefs.NotFound(f"Could not find the file {path} in container {reference}") from error


async def _flowing(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    async for chunk in chunks:
        yield chunk
        faults.hit("copy.flows")
