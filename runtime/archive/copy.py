"""One worker, the daemon's side: asked, fed, read and never left behind."""

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any

import errdefs
from errdefs import SystemFailure
from runtime.archive.order import PathStat
from runtime.pipe import receive

_CHUNK = 1 << 20


class Copy:
    """A worker, born but not yet asked for anything. `stat`: the facts of the file that is looked at or read, once it
    is found.
    """

    stat: PathStat

    def __init__(self, opened: ExitStack, pidfd: int, control: socket.socket, data: socket.socket) -> None:
        """`opened` holds all of the descriptors."""
        self._opened = opened
        self._pidfd = pidfd
        self._control = control
        self._data = data

    @property
    def alive(self) -> bool:
        """Whether it has not ended: its server may have."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return not poll.poll(0)

    @asynccontextmanager
    async def ordered(
        self, order: dict[str, Any], passed: Sequence[int], max_line: int
    ) -> AsyncGenerator[None, None]:
        """Give it its order, and descriptors; after the block it is gone."""
        async with AsyncExitStack() as opened:
            opened.callback(self._opened.close)
            self._messages, writer = await asyncio.open_unix_connection(
                sock=self._control.dup(), limit=max_line
            )
            opened.callback(writer.close)
            opened.push_async_callback(self.end)
            with contextlib.suppress(OSError):  # it has gone: what it said is still to be read
                socket.send_fds(self._control, [b"."], passed)
                writer.write(json.dumps(order).encode() + b"\n")
                await writer.drain()
            yield

    async def began(self) -> bool:
        """Whether it took the order: it may have died with its server before."""
        try:
            await self._next("begun")
        except SystemFailure:
            return False
        return True

    async def found(self) -> None:
        """Wait until it has found what it was asked for: then the archive flows. Unavailable if the container ended."""
        facts = await self._next("found")
        if facts is not None:
            self.stat = PathStat(*facts)

    async def done(self) -> Any:
        """Wait for its end; what it tells, or its failure."""
        return await self._next("done")

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

    def drop(self) -> None:
        """Ask nothing of it: it ends."""
        self.kill()
        self._opened.close()


async def _sent(writer: asyncio.StreamWriter, chunk: bytes) -> bool:
    """Whether the other end still takes what comes."""
    try:
        writer.write(chunk)
        await writer.drain()
    except ConnectionError:
        return False
    return True


def settle(future: "asyncio.Future[None]") -> None:
    """Set a future, however often it is told."""
    if not future.done():
        future.set_result(None)
