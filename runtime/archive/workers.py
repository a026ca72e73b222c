"""Copies from and to containers, the daemon's side: workers that are asked, fed, read and never left behind."""

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import errdefs
from errdefs import SystemFailure
from runtime.archive.births import Births, settle
from runtime.archive.order import PathStat, View
from runtime.pipe import receive

_CHUNK = 1 << 20
_MAX_LINE = 1 << 16
_PATIENCE = (
    1.0  # seconds until an idle server is let go: `docker cp` asks twice, and is often called in a row
)


class Copy:
    """One worker at work. `stat`: the facts of the file that is looked at or read, once it is found."""

    stat: PathStat

    def __init__(self, pidfd: int, messages: asyncio.StreamReader, data: socket.socket) -> None:
        self._pidfd = pidfd
        self._messages = messages
        self._data = data

    async def found(self) -> None:
        """Wait until it has found what it was asked for: then the archive flows. Unavailable if the container ended."""
        facts = await self._next("found")
        if facts is not None:
            self.stat = PathStat(*facts)

    async def done(self) -> None:
        """Wait for its end; its failures are raised."""
        await self._next("done")

    async def _next(self, wanted: str) -> Any:
        try:
            line = await self._messages.readline()
        except (ValueError, ConnectionError) as error:
            raise SystemFailure(f"the process that copies speaks nonsense: {error}") from error
        if not line:
            raise SystemFailure("the process that copies ended without a word")
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            kind: type[errdefs.WherryError] = getattr(errdefs, message["error"]["kind"])
            raise kind(message["error"]["message"])
        return message[wanted]

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The archive that it writes, in chunks of up to a megabyte; nobody reads ahead of who takes them."""
        archive, transport = receive(os.dup(self._data.fileno()), _CHUNK)
        with contextlib.closing(transport):
            while chunk := await archive.read(_CHUNK):
                yield chunk
        await self.done()

    async def feed(self, archive: AsyncIterator[bytes]) -> None:
        """Send it an archive, and wait until it is done with it."""
        _, writer = await asyncio.open_unix_connection(sock=self._data.dup())
        try:
            try:
                async for chunk in archive:
                    if not await _sent(writer, chunk):
                        break
                else:
                    with contextlib.suppress(OSError):  # it has gone: it says why
                        writer.write_eof()
            except BaseException:
                self.kill()  # what came so far must not pass for all
                raise
            await self.done()
        finally:
            writer.close()  # not before: uvloop forgets the end that waits for what is not yet written

    def kill(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def end(self) -> None:
        """End it, and wait until it is gone with all that it has mounted, however often we are cancelled."""
        self.kill()
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._pidfd, settle, gone)
        cancelled = False
        while not gone.done():
            try:
                await asyncio.wait([gone])
            except asyncio.CancelledError:
                cancelled = True
        loop.remove_reader(self._pidfd)
        if cancelled:
            raise asyncio.CancelledError


class Workers(Births):
    """Makes workers. The process that forks them is there while there are some, and a moment longer."""

    def __init__(self, directory: Path) -> None:
        """`directory`: an empty one of this daemon's own, on which each worker mounts what it sees. It is made."""
        super().__init__("runtime.archive.server", _PATIENCE)
        self._directory = directory

    @property
    def at(self) -> str:
        """Where workers mount: `View.at`."""
        return str(self._directory)

    @asynccontextmanager
    async def copy(
        self, view: View, namespace: int | None, order: dict[str, Any]
    ) -> AsyncGenerator[Copy, None]:
        """A worker that does `order` in a view; after the block it is gone. SystemFailure when there can be none."""
        async with AsyncExitStack() as opened:
            opened.enter_context(self._at_work())
            if self._forker.pid == 0:
                await asyncio.to_thread(self._directory.mkdir, mode=0o700, parents=True, exist_ok=True)
            pidfd, control, data = await self._born(opened, [] if namespace is None else [namespace])
            messages, writer = await asyncio.open_unix_connection(sock=control.dup(), limit=_MAX_LINE)
            opened.callback(writer.close)
            copy = Copy(pidfd, messages, data)
            opened.push_async_callback(copy.end)
            writer.write(json.dumps({**order, "view": view.encode()}).encode() + b"\n")
            yield copy


async def _sent(writer: asyncio.StreamWriter, chunk: bytes) -> bool:
    """Whether the other end still takes what comes."""
    try:
        writer.write(chunk)
        await writer.drain()
    except ConnectionError:
        return False
    return True
