"""Attaching by WebSocket: what browsers can do."""

import asyncio
import contextlib
from typing import Protocol, cast

from aiohttp.http_websocket import WSMsgType

import errdefs
from api import multiplex, web
from api.call import Call
from api.connection import Connection
from api.hijack import Attachment
from api.http_server import HttpServer
from api.lasting import while_connected
from api.relay import deliver
from api.routing import Route
from engine.containers.attach import AttachRequest, Detached, parse_detach_keys
from engine.containers.container import Container

_MAX_MESSAGE = 4 * 1024 * 1024  # bytes of one message of a client
_CLOSE_TIMEOUT = 5.0  # seconds for a client to answer the closing
_INPUT = (WSMsgType.TEXT, WSMsgType.BINARY)


class Containers(Protocol):
    """What this route needs of the engine's containers."""

    def get(self, reference: str, /) -> Container:
        """By name, ID or prefix."""

    async def attach(self, reference: str, request: AttachRequest, /) -> Attachment:
        """A hold of its stdio."""


class AttachWebSocketRoutes:
    """The route of attaching by WebSocket."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers

    def routes(self) -> list[Route]:
        """The table."""
        return [Route("GET", "/containers/{name}/attach/ws", self.attach)]

    async def attach(self, call: Call) -> web.StreamResponse:
        """Both outputs come in one stream, unframed: in binary messages, before 1.28 in text messages."""
        request = _request(call)
        parse_detach_keys(request.detach_keys)  # told before anything of the container is
        container = self._containers.get(call.name)
        socket = web.WebSocketResponse(timeout=_CLOSE_TIMEOUT, max_msg_size=_MAX_MESSAGE, compress=False)
        if not socket.can_prepare(call.request):
            raise errdefs.InvalidArgument("not websocket protocol")
        attachment = await self._containers.attach(container.id, request)
        with contextlib.closing(attachment):
            connection = cast("Connection", call.request.protocol)
            call.started = socket
            socket.headers.update(call.headers)
            await socket.prepare(call.request)
            sender = _Sender(socket, binary=not call.version.before("1.28"), framed=not container.config.tty)
            with while_connected(call.request):
                await _relay(connection, socket, sender, attachment)
                await socket.close()
        return socket


class _Sender:
    """Sends output as messages of the kind that the version has."""

    def __init__(self, socket: web.WebSocketResponse, *, binary: bool, framed: bool) -> None:
        self._socket = socket
        self._binary = binary
        self._unframer = multiplex.Unframer(None) if framed else None

    async def send(self, data: bytes) -> None:
        """Send what a read gave; waits while the client does not read."""
        if self._unframer is not None:
            data = self._unframer.feed(data)
        if not data:
            return
        if self._binary:
            await self._socket.send_bytes(data)
        else:
            await self._socket.send_str(data.decode(errors="replace"))


async def _relay(
    connection: Connection, socket: web.WebSocketResponse, sender: _Sender, attachment: Attachment
) -> None:
    """Carry messages both ways until the output ends, the client goes, or it detaches.

    A client that has gone ends the container's input, as on every other way to attach.
    """
    loop = asyncio.get_running_loop()
    feeding = loop.create_task(_feed(connection.server, socket, attachment))
    draining = loop.create_task(_drain(sender, attachment))
    try:
        try:
            await asyncio.wait((feeding, draining), return_when=asyncio.FIRST_COMPLETED)
        finally:
            over = draining.done() and draining.exception() is None and draining.result()
            if not feeding.done() and not over:
                connection.force_close()  # what was received is still given to the feed, and then its end
                await deliver(feeding, connection.server, attachment)
    finally:
        for task in (feeding, draining):
            task.cancel()
        await asyncio.gather(feeding, draining, return_exceptions=True)


async def _feed(server: HttpServer, socket: web.WebSocketResponse, attachment: Attachment) -> bool:
    """Input to the container, until the client closes; True when it detaches."""
    takes = True
    try:
        async for message in socket:
            if message.type not in _INPUT or not takes:
                continue
            data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
            try:
                await attachment.write(data)
            except OSError:  # the container has closed its input: it may go on writing
                takes = False
        if takes and not server.closed:  # the daemon ends, not the input: another client may come
            await attachment.write_eof()
    except Detached:
        return True
    return False


async def _drain(sender: _Sender, attachment: Attachment) -> bool:
    """Output to the client; False if the client went before its end."""
    heard = True
    while data := await attachment.read():
        try:
            await sender.send(data)
        except ConnectionError:  # what is under way is read all the same: it would hold up the end
            heard = False
            attachment.leave()
    return heard


def _request(call: Call) -> AttachRequest:
    """Before 1.42 all three streams are meant, whatever the query says."""
    flag, everything = call.query.flag, call.version.before("1.42")
    return AttachRequest(
        stdin=everything or flag("stdin"),
        stdout=everything or flag("stdout"),
        stderr=everything or flag("stderr"),
        stream=flag("stream"),
        logs=flag("logs"),
        detach_keys=call.query.text("detachKeys"),
    )
