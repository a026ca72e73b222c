"""Compressed archives on their way in: unpacked by a confined process, which holds their window."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack

from errdefs import InvalidArgument, SystemFailure
from runtime.layers.decompress import detect
from runtime.layers.decompression import HEAD
from runtime.layers.process import Worker, worker

_CHUNK = 1 << 20


async def inflate(archive: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield an archive decompressed, in chunks of up to a megabyte; what is not compressed passes as it is.

    InvalidArgument for a stream that is broken or a bomb. Close it early with `aclose`: the process ends.
    """
    head = b""
    async for chunk in archive:
        head += chunk
        if len(head) >= HEAD:
            break
    if not detect(head):
        if head:
            yield head
        async for chunk in archive:
            yield chunk
        return
    async with contextlib.aclosing(_inflated(head, archive)) as pieces:
        async for piece in pieces:
            yield piece


async def _inflated(head: bytes, archive: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    async with AsyncExitStack() as stack:
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_unix_connection(sock=ours, limit=_CHUNK)
            stack.callback(writer.close)
            inflating = await stack.enter_async_context(
                worker("runtime.layers.inflater", {}, [theirs.fileno()])
            )
        feeding = asyncio.get_running_loop().create_task(_feed(head, archive, writer))
        stack.push_async_callback(_end, feeding)
        with contextlib.suppress(ConnectionError):  # its word follows
            while piece := await reader.read(_CHUNK):
                yield piece
        if feeding.done():
            feeding.result()  # whoever sends it may have failed
        await _outcome(inflating)


async def _feed(head: bytes, archive: AsyncIterator[bytes], writer: asyncio.StreamWriter) -> None:
    try:
        writer.write(head)
        await writer.drain()
        async for chunk in archive:
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
    except BaseException as failure:
        lost = writer.is_closing()
        writer.transport.abort()  # what came so far must not pass for all
        if not lost or not isinstance(failure, OSError):
            raise
        # The worker has seen enough, and says why.


async def _end(feeding: "asyncio.Task[None]") -> None:
    feeding.cancel()
    await asyncio.wait([feeding])
    if not feeding.cancelled():
        feeding.exception()


async def _outcome(inflating: Worker) -> None:
    async for message in inflating.messages():
        if "inflated" in message:
            return
        raise InvalidArgument(message["error"])
    status = await inflating.status()
    raise SystemFailure(f"the process that decompresses an archive ended without a word (status {status})")
