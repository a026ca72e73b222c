"""Client connections: aiohttp's, made to notice slow heads and lost clients, and to give a connection away.

aiohttp closes a connection whose client half-closes, and hears of a lost client only when it writes; what is
here adds what Docker's streams need: to be ended then (`Connection.watch`), and `Connection.take`.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp.streams import StreamReader

from api import errors, web
from api.boundary import Boundary
from api.preface import Preface
from api.upgrade import Splitter

if TYPE_CHECKING:
    from api.http_server import HttpServer

_log = logging.getLogger(__name__)

HEAD_TIMEOUT = 30.0  # seconds from a head's first byte to its last
_MAX_EARLY = 256 * 1024  # bytes held of what a client sends before its connection is taken


class Ending(Protocol):
    """What lasts, and ends with the server."""

    def end(self) -> None:
        """End it."""


class Connection(web.RequestHandler):
    """One client's connection while it speaks HTTP."""

    __slots__ = (
        "_begun",
        "_boundary",
        "_broken",
        "_busy",
        "_early",
        "_half_closed",
        "_head_timer",
        "_last_body",
        "_preface",
        "_server",
        "_splitter",
        "_stream",
    )

    def __init__(self, server: "HttpServer", loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        super().__init__(server, loop=loop, **options)
        self._server = server
        self._begun = 0
        self._busy = False
        self._half_closed = False
        self._last_body: StreamReader | None = None
        self._early: bytearray | None = None
        self._boundary = Boundary()
        self._broken: StreamReader | None = None
        self._splitter = Splitter()
        self._preface = Preface()
        self._head_timer: asyncio.TimerHandle | None = None
        self._stream: Ending | None = None

    @property
    def server(self) -> "HttpServer":
        """The server that it belongs to."""
        return self._server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there, and has asked for nothing yet."""
        super().connection_made(transport)
        self._server.connected += 1
        self._server.idle[self] = self._loop.time()
        if self._server.closed:  # it shook hands while the others were ended
            self.force_close()

    @property
    def asks(self) -> bool:
        """Whether a request is being answered, or has come."""
        return self._busy or bool(self._messages) or self._early is not None

    def data_received(self, data: bytes) -> None:
        """Bytes of the client; a head that does not end in time ends the connection."""
        if self._early is not None:
            self._hold(data)
            return
        data = self._preface.feed(data)
        if self._preface.found:
            self._speak_http2(data)
            return
        if self._preface.found is None:
            self._expect_head()
            return
        data, behind = self._splitter.feed(self._boundary.feed(data))
        if behind:
            self.hold()
            self._hold(behind)
        requests, body = self._request_count, self._last_body
        super().data_received(data)
        if self._request_count > requests and body is not None and not body.is_eof():
            body.set_exception(web.RequestPayloadError("it is not framed as its head says"))
            self._broken = body
        if self._messages:
            self._last_body = self._messages[-1][1]
        else:
            self._expect_head()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client's half-close: a request that is whole is still answered, a stream ends."""
        if self._early is None and not self._pending():
            return False
        self._half_closed = True
        if self._stream is not None:
            self._stream.end()
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client is gone: what it waits for ends."""
        self._disarm()
        self._server.connected -= 1
        self._server.idle.pop(self, None)
        super().connection_lost(exc)
        if self._stream is not None:
            self._stream.end()

    def begin(self) -> None:
        """A request's head is whole and its handler starts."""
        self._begun += 1
        self._busy = True
        self._server.idle.pop(self, None)
        self._disarm()

    def finish(self) -> None:
        """The handler is done; a client that has half-closed asks for nothing more."""
        self._busy = False
        self._server.trimming.soon()
        self._boundary.answered(alone=self._body_is_whole and self._request_count == self._begun)
        self._splitter.reset()
        if self._broken is not None:
            self._broken.feed_eof()  # aiohttp is not to wait for the rest
        if self._half_closed or self._early is not None or self._broken is not None:
            self.close()
        elif self.transport is not None:
            self._server.idle[self] = self._loop.time()

    def watch(self, stream: Ending) -> None:
        """End the stream when the client goes; at once if it has gone already."""
        self._stream = stream
        self._server.streams.add(stream)
        if self.transport is None or self._half_closed or self._server.closed:
            stream.end()

    def unwatch(self, stream: Ending) -> None:
        """The stream has ended by itself."""
        self._stream = None
        self._server.streams.discard(stream)

    def hold(self) -> None:
        """From now on keep what the client sends instead of reading requests from it."""
        if self._early is None:
            self._early = bytearray()

    def take(self) -> tuple[asyncio.Transport, bytes, bool]:
        """Give the transport away, with the bytes that came behind the request and whether they are the last.

        ConnectionResetError when the client has gone.
        """
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("the client has gone")
        early = bytes(self._message_tail) + bytes(self._early or b"")
        self._message_tail, self._early = b"", None
        return self.transport, early, self._half_closed

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no HTTP, in Docker's form. The connection closes after it."""
        if status >= 500:
            _log.error("request failed in the HTTP layer", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun")
        reason = " ".join((message or "").split())[:200]
        text = f"malformed request: {reason}" if status < 500 else errors.UNEXPECTED
        response = errors.response(status, text)
        response.force_close()
        return response

    def _hold(self, data: bytes) -> None:
        assert self._early is not None
        self._early += data
        if len(self._early) > _MAX_EARLY and self.transport is not None:
            self.transport.pause_reading()

    def _speak_http2(self, data: bytes) -> None:
        """Give the connection to whoever serves HTTP/2; where nobody does, it ends."""
        self._disarm()
        self.hold()
        self._hold(data)
        if self._server.http2 is None:
            self.force_close()
            return
        self._server.idle.pop(self, None)
        self._server.http2(self)

    def _expect_head(self) -> None:
        if not self._busy and self._head_timer is None:
            self._head_timer = self._loop.call_later(HEAD_TIMEOUT, self._head_is_late)

    def _pending(self) -> bool:
        """Whether a request has come whole and is not answered yet."""
        return self._body_is_whole and (self._busy or self._request_count != self._begun)

    @property
    def _body_is_whole(self) -> bool:
        return self._last_body is None or self._last_body.is_eof()

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self._busy:
            self.force_close()

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class Taken(web.StreamResponse):
    """What a handler returns whose connection is no longer HTTP, or is gone: nothing is written."""

    @property
    def prepared(self) -> bool:
        """As if it were: nobody shall add to it."""
        return True

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write nothing."""
        del request
        self.force_close()

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing."""
        del data
