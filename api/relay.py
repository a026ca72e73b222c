"""Carrying bytes both ways between a client's raw connection and a container's stdio.

The input of a client that goes away is delivered all the same, as in Docker, and its end is told: a process that
reads to the end of its input (`docker run -i … wc`) would wait for ever.
"""

import asyncio
import logging

from api.hijack import Attachment, Hijacked
from api.http_server import HttpServer
from api.lasting import Stream
from engine.containers.attach import Detached

_log = logging.getLogger(__name__)

_LEFT_LIMIT = 200  # clients that have gone whose input may wait for processes to take it, in the whole daemon


async def relay(connection: Hijacked, attachment: Attachment, *, output: bool = True) -> None:
    """Carry bytes both ways until the container's output ends, the client goes, or it detaches.

    The input of a client that has gone is carried to its end. With `output` False the client asked for no output:
    the end of its input ends the relay.
    """
    loop = asyncio.get_running_loop()
    feeding = loop.create_task(_feed(connection, attachment))
    draining = loop.create_task(_drain(attachment, connection))
    vanishing = loop.create_task(connection.gone.wait())
    tasks = (feeding, draining, vanishing)
    try:
        detached = await _first_end(feeding, draining, vanishing, output=output)
        if connection.gone.is_set() and not detached:
            await deliver(feeding, connection.server, attachment)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        attachment.close()
    await connection.finish()


async def _first_end(
    feeding: "asyncio.Task[bool]",
    draining: "asyncio.Task[None]",
    vanishing: "asyncio.Task[bool]",
    *,
    output: bool,
) -> bool:
    """Wait for what ends the relay; True if that is the client's detaching."""
    ends: set[asyncio.Task[bool] | asyncio.Task[None]] = {vanishing, draining if output else feeding}
    pending = {feeding, *ends}
    while True:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        if feeding in done and feeding.result():
            return True
        if done & ends:
            return False


async def deliver(feeding: "asyncio.Task[bool]", server: HttpServer, attachment: Attachment) -> None:
    """Wait for the rest of the input of a client that has gone: the process takes it when it likes, or ends.

    If the daemon ends, or too many wait, it does not: the input is cut off.
    """
    if server.closed or len(server.left) >= _LEFT_LIMIT:
        return
    rest = Stream(feeding)
    server.left.add(rest)
    try:
        attachment.leave()
        await asyncio.wait({feeding})
    finally:
        server.left.discard(rest)


async def _feed(connection: Hijacked, attachment: Attachment) -> bool:
    """Input to the container; True when the client detached."""
    try:
        while data := await connection.read():
            await attachment.write(data)
        if not connection.server.closed:  # the daemon ends, not the input: another client may come
            await attachment.write_eof()
    except Detached:
        return True
    except OSError:
        # The container has closed its input: it may go on writing.
        _log.debug("the container takes no more input", exc_info=True)
    return False


async def _drain(attachment: Attachment, connection: Hijacked) -> None:
    while data := await attachment.read():
        try:
            await connection.write(data)
        except ConnectionError:  # what is under way is read all the same: it would hold up the end
            await connection.gone.wait()
            attachment.leave()
