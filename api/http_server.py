"""The HTTP server: the connections of all listeners, which of them are idle, and their end."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from api import web
from api.connection import Connection, Ending
from api.hangups import Hangups
from api.trimming import Trimming

MAX_HEAD_LINE = 256 * 1024  # bytes: filters travel in the request line
MAX_FIELDS = 128
FRESH = 1.0  # seconds in which what an idle client asks may be on its way


class Idle(Protocol):
    """A connection that may have to go for another one."""

    @property
    def asks(self) -> bool:
        """Whether its client wants something, after all."""

    def force_close(self) -> None:
        """End it."""


class HttpServer(web.Server):
    """Connections of all listeners, and the one handler behind them."""

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(handler)
        self.streams: set[Ending] = set()
        self.connected = 0
        self.left: set[Ending] = set()
        """What clients that have gone had sent, and waits for processes to take it."""
        self.idle: dict[Idle, float] = {}
        """Those that ask for nothing, and since when by the loop's clock; the longest first."""
        self.http2: Callable[[Connection], object] | None = None
        """Takes connections that begin with HTTP/2."""
        self.hangups = Hangups(self._loop)
        self.trimming = Trimming(self._loop)
        self.closed = False
        """Whether it ends: nothing that lasts is to begin."""

    def __call__(self) -> web.RequestHandler:
        """A protocol for a new connection."""
        return Connection(
            self,
            self._loop,
            max_line_size=MAX_HEAD_LINE,
            max_field_size=MAX_HEAD_LINE,
            max_headers=MAX_FIELDS,
            auto_decompress=False,
            access_log=None,
        )

    def make_room(self) -> bool:
        """Close the connection that has been idle for the longest; False when none is but for the moment."""
        before = self._loop.time() - FRESH
        for connection, since in self.idle.items():
            if since > before:
                return False
            if not connection.asks:
                del self.idle[connection]
                connection.force_close()
                return True
        return False

    async def close(self, timeout: float) -> None:
        """End streams at once, give other requests `timeout` seconds, then close every connection. Idempotent."""
        if self.closed:
            return
        self.closed = True
        for stream in (*self.streams, *self.left):
            stream.end()
        self.pre_shutdown()
        await self.shutdown(timeout)
        self.hangups.close()
        self.trimming.close()
