"""Hijacked connections: after an HTTP head the connection carries a raw stream in both directions.

The head is written and the transport given another protocol, on asyncio and uvloop alike. The client's
half-close ends its input alone (`echo x | docker run -i …`), reading stops while nobody takes the input, and
a client that goes away is noticed even then. Whatever can fail is checked before the switch.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Protocol

from api import web
from api.connection import Connection
from api.http_server import HttpServer

RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"

_MAX_BUFFER = 256 * 1024  # bytes of input held before reading pauses
_LINGER = 5.0  # seconds for a client to close after the end of its output


class Attachment(Protocol):
    """The container's side of a stream."""

    async def read(self) -> bytes:
        """The next output, b"" at its end."""

    async def write(self, data: bytes, /) -> None:
        """Deliver input; waits while the container does not take it. Detached on the detach keys."""

    async def write_eof(self) -> None:
        """The input has ended."""

    def leave(self) -> None:
        """The client has gone: output is not wanted any more, and ends; input still goes its way."""

    def close(self) -> None:
        """Let go of the container's streams. The container lives on."""


class Hijacked(asyncio.Protocol):
    """A raw connection: bytes in both directions, each with backpressure and an end of its own."""

    def __init__(
        self, connection: Connection, transport: asyncio.Transport, early: bytes, *, ended: bool
    ) -> None:
        self._connection = connection
        self._transport = transport
        self._input = bytearray(early)
        self._input_ended = ended
        self._reading_paused = False
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.gone = asyncio.Event()
        self._fd = transport.get_extra_info("socket").fileno()
        self._on_hangup = self._hung_up
        connection.server.hangups.add(self._fd, self._on_hangup)
        connection.server.streams.add(self)
        if early:
            self._arrived.set()

    @property
    def server(self) -> HttpServer:
        """The server that it belongs to."""
        return self._connection.server

    def data_received(self, data: bytes) -> None:
        """Input of the client."""
        self._input += data
        self._arrived.set()
        if len(self._input) > _MAX_BUFFER and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The client's half-close. The output goes on."""
        self._input_ended = True
        self._arrived.set()
        return True

    def pause_writing(self) -> None:
        """The client does not read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._writable.set()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Both directions have ended; the HTTP layer learns it too."""
        self._input_ended = True
        self._arrived.set()
        self._hung_up()
        self._connection.server.hangups.discard(self._fd, self._on_hangup)
        self._connection.server.streams.discard(self)
        self._connection.connection_lost(exc)

    async def read(self) -> bytes:
        """The next input, b"" once it has ended."""
        while not self._input and not self._input_ended:
            self._arrived.clear()
            await self._arrived.wait()
        data = bytes(self._input)
        self._input.clear()
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Send output; waits while the client does not read. ConnectionResetError once it has gone."""
        if self._transport.is_closing() or self.gone.is_set():
            raise ConnectionResetError("the client has gone")
        self._transport.write(data)
        await self._writable.wait()

    async def finish(self) -> None:
        """End the output, and close when the client has closed or has had time to.

        Closing at once would reset the connection under unread input, and the client could lose output.
        """
        if not self.gone.is_set() and not self._transport.is_closing():
            await self._writable.wait()
            with contextlib.suppress(OSError, RuntimeError):
                self._transport.write_eof()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LINGER):
                    await self._discard_input()
        self._transport.close()

    def end(self) -> None:
        """Close without further ado; a client that does not read gets no more: its transport would wait for it."""
        if self._writable.is_set():
            self._transport.close()
        else:
            self._transport.abort()

    def _hung_up(self) -> None:
        self.gone.set()
        self._writable.set()

    async def _discard_input(self) -> None:
        while not self.gone.is_set() and await self.read():
            pass


def hold(request: web.BaseRequest) -> Connection:
    """Keep what the client sends from now on for a hijack. The body must have been read."""
    connection = request.protocol
    assert isinstance(connection, Connection)
    connection.hold()
    return connection


def hijack(connection: Connection, head: bytes) -> Hijacked:
    """Write a head and take the connection over. ConnectionResetError when the client has gone."""
    transport, early, ended = connection.take()
    hijacked = Hijacked(connection, transport, early, ended=ended)
    transport.write(head)
    transport.set_protocol(hijacked)
    with contextlib.suppress(RuntimeError):  # not paused
        transport.resume_reading()
    return hijacked


def upgrade_head(*, upgrade: bool, content_type: str, headers: Mapping[str, str] | None = None) -> bytes:
    """The head before a raw stream, byte for byte Docker's: 101 if the client asked to upgrade, else 200."""
    if upgrade:
        lines = [
            "HTTP/1.1 101 UPGRADED",
            f"Content-Type: {content_type}",
            "Connection: Upgrade",
            "Upgrade: tcp",
        ]
    else:
        lines = ["HTTP/1.1 200 OK", f"Content-Type: {RAW}"]
    lines += [f"{name}: {value}" for name, value in sorted((headers or {}).items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def refusal(status: int, message: str) -> bytes:
    """Docker's answer to an attach that fails: status line, content type and text, raw."""
    phrase = HTTPStatus(status).phrase
    head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: {RAW}\r\n\r\n"
    return (head + f"{message}\r\n").encode()
