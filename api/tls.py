"""TLS for clients that come by TCP, as a transport each of whose directions ends by itself.

asyncio's TLS ends both when a client ends its own (close_notify): `echo x | docker run -i …` would lose what the
container says to that. OpenSSL works in memory; the connection behind speaks HTTP as if there were no TLS.
"""

import asyncio
import logging
import os
import ssl
from typing import Any, cast

import errdefs
from api.http_server import HttpServer
from engine.config.tls import TlsFiles

_log = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT = 30.0  # seconds
_CHUNK = 256 * 1024  # bytes
_NO_TLS = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"  # Go's, shown by clients
_GOING_ON = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """How clients are spoken to. InvalidArgument, in dockerd's words, for files that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # The socket's end is an end as on any socket: a client of docker-py ends its input by that alone.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_IGNORE_UNEXPECTED_EOF
    pair = f'X509 key pair (cert: "{files.certificate}", key: "{files.key}")'
    _require_readable(files.certificate, f"Could not load {pair}")
    _require_readable(files.key, f"Could not load {pair}")
    try:
        context.load_cert_chain(files.certificate, files.key, password=_refuse_password)
    except (ssl.SSLError, ValueError) as error:
        raise _invalid(
            f"Error reading {pair}: {_reason(error)}. Make sure the key is not encrypted."
        ) from error
    if files.verify:
        _require_readable(files.authorities, f'could not read CA certificate "{files.authorities}"')
        try:
            context.load_verify_locations(files.authorities)
        except ssl.SSLError as error:
            raise _invalid(f'failed to append certificates from PEM file: "{files.authorities}"') from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _require_readable(path: str, failure: str) -> None:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        raise _invalid(f"{failure}: open {path}: {reason}") from error


def _invalid(text: str) -> errdefs.InvalidArgument:
    return errdefs.InvalidArgument(f"invalid TLS configuration: {text}")


def _refuse_password() -> str:
    raise ValueError("the key is encrypted")


def _reason(error: ssl.SSLError | ValueError) -> str:
    if not isinstance(error, ssl.SSLError):
        return str(error)
    return (error.reason or "no PEM data was found").lower().replace("_", " ")


class TlsConnection(asyncio.Protocol, asyncio.Transport):
    """A client's connection: a protocol to the socket, a transport to what speaks HTTP.

    Until its handshake is done it counts as one that is idle: it goes when room is needed.
    """

    def __init__(self, server: HttpServer, context: ssl.SSLContext) -> None:
        asyncio.Transport.__init__(self)
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._received, self._sending = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._sending, server_side=True)
        self._socket: asyncio.Transport
        self._protocol: asyncio.BaseProtocol | None = None
        self._reads = True
        self._ended = self._heard_end = self._closing = False
        self._cut: asyncio.TimerHandle

    # What the socket's transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there; it has to shake hands in time."""
        self._socket = cast("asyncio.Transport", transport)  # uvloop's is not of that class
        self._server.connected += 1
        self._server.idle[self] = self._loop.time()
        self._cut = self._loop.call_later(HANDSHAKE_TIMEOUT, self.force_close)

    def data_received(self, data: bytes) -> None:
        """Bytes of TLS."""
        self._received.write(data)
        self._proceed()

    def eof_received(self) -> bool:
        """The client's half-close, whether it was told in TLS or not: as where there is none."""
        self._received.write_eof()
        self._proceed()
        return not self._closing

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self._closing = True
        if self._protocol is None:
            self._leave()
        else:
            self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not read."""
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._protocol is not None:
            self._protocol.resume_writing()

    # What the server's table of those that are idle asks, until the hands are shaken.

    @property
    def asks(self) -> bool:
        """Whether it is more than a connection: its handshake is done."""
        return self._protocol is not None

    def force_close(self) -> None:
        """End it."""
        self.abort()

    # What whoever speaks HTTP asks.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`ssl_object` as with asyncio's TLS; else what is known of the socket."""
        return self._tls if name == "ssl_object" else self._socket.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give what comes to another one."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who gets what comes."""
        assert self._protocol is not None
        return self._protocol

    def is_reading(self) -> bool:
        """Whether what comes is delivered."""
        return self._reads

    def pause_reading(self) -> None:
        """Deliver nothing more for now."""
        if self._reads and not self._closing:
            self._reads = False
            self._socket.pause_reading()

    def resume_reading(self) -> None:
        """Deliver again, from the loop's next round on."""
        if not self._reads and not self._closing:
            self._reads = True
            self._loop.call_soon(self._resumed)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """How much may wait for the client."""
        self._socket.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Bytes that wait for the client."""
        return self._socket.get_write_buffer_size()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send it, in order; nothing any more once it is closed."""
        if data and not self._closing and not self._ended:
            self._tls.write(data)
            self._send()

    def can_write_eof(self) -> bool:
        """Its output can end by itself."""
        return True

    def write_eof(self) -> None:
        """End the output; input goes on."""
        if not self._ended and not self._closing:
            self._say_end()
            self._socket.write_eof()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._closing or self._socket.is_closing()

    def close(self) -> None:
        """Close it once what was written is sent."""
        if not self._closing:
            self._closing = True
            self._say_end()
            self._socket.close()

    def abort(self) -> None:
        """Close it at once."""
        self._closing = True
        self._socket.abort()

    # OpenSSL's part.

    def _proceed(self) -> None:
        try:
            if self._protocol is None:
                self._tls.do_handshake()
                self._arrive()
            self._deliver()
        except _GOING_ON:
            self._send()
        except ssl.SSLError as error:
            self._fail(error)

    def _arrive(self) -> None:
        """The hands are shaken: an HTTP connection begins."""
        self._send()
        self._leave()
        protocol = self._server()
        self._protocol = protocol
        protocol.connection_made(self)

    def _leave(self) -> None:
        self._cut.cancel()
        self._server.connected -= 1
        self._server.idle.pop(self, None)

    def _deliver(self) -> None:
        """Hand on what has come, as long as somebody wants it; a protocol may give way to another meanwhile."""
        while self._reads and not self._closing and not self._heard_end:
            data = self._read()
            protocol = self._protocol
            assert isinstance(protocol, asyncio.Protocol)
            if data:
                protocol.data_received(data)
            else:
                self._heard_end = True
                if not protocol.eof_received():
                    self.close()
                return

    def _read(self) -> bytes:
        try:
            return self._tls.read(_CHUNK)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    def _resumed(self) -> None:
        if self._reads and not self._closing:
            self._socket.resume_reading()
            self._proceed()

    def _fail(self, error: ssl.SSLError) -> None:
        self._send()  # the alert that says why
        if self._protocol is None:
            _log.info("a client was not let in by TLS: %s", _reason(error))
            if error.reason == "HTTP_REQUEST":
                self._socket.write(_NO_TLS)
        self._closing = True
        self._socket.close()

    def _say_end(self) -> None:
        """Tell the client that nothing more comes; what it says to that is read, or not, as any other."""
        if self._ended or self._protocol is None:
            return
        self._ended = True
        try:
            self._tls.unwrap()
        except ssl.SSLError as error:
            if not isinstance(error, _GOING_ON):
                _log.debug("the end of a TLS stream was not told in form", exc_info=True)
        self._send()

    def _send(self) -> None:
        if self._sending.pending and not self._socket.is_closing():
            self._socket.write(self._sending.read())
