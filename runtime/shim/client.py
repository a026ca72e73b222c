"""A connection to a shim while it speaks in messages: requests in, replies and events out."""

from __future__ import annotations

import socket

from runtime.shim import protocol
from runtime.shim.epoll import READ, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


_CHUNK = 4096


class Connection:
    """One client. `request` is called with (connection, request id, verb, arguments)."""

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        request: Callable[[Connection, bytes, bytes, list[bytes]], None],
        closed: Callable[[Connection], None],
    ) -> None:
        sock.settimeout(0)
        self._loop = loop
        self._socket: socket.socket | None = sock
        self._request = request
        self._closed = closed
        self._decoder = protocol.Decoder()
        self._held = False
        loop.watch(sock.fileno(), READ, self._readable)

    def send(self, *fields: str | bytes | int, fd: int = -1) -> None:
        """Send one message, with a descriptor if given. A client that lets its replies pile up is cut off."""
        if self._socket is None:
            return
        message = protocol.encode(*fields)
        try:
            sent = socket.send_fds(self._socket, [message], [fd] if fd >= 0 else [])
        except OSError:
            sent = 0
        if sent != len(message):
            self.close()

    def hold(self) -> None:
        """Take no further request for now: this one decides whether the connection becomes a stream."""
        self._held = True
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())

    def resume(self) -> None:
        """Go on taking requests after `hold`."""
        self._held = False
        if self._socket is not None:
            self._loop.watch(self._socket.fileno(), READ, self._readable)
            self._serve()

    def release(self) -> tuple[socket.socket, bytes] | None:
        """Give the socket away, with what came in behind the last request. None: it is closed."""
        sock, self._socket = self._socket, None
        if sock is None:
            return None
        self._loop.forget(sock.fileno())
        self._closed(self)
        return sock, self._decoder.rest()

    def close(self) -> None:
        """Close it."""
        released = self.release()
        if released is not None:
            released[0].close()

    def _readable(self, _fd: int, _events: int) -> None:
        if self._socket is None:
            return
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._decoder.feed(data)
        self._serve()

    def _serve(self) -> None:
        while self._socket is not None and not self._held:
            try:
                message = self._decoder.next()
                if message is None:
                    return
                self._request(self, message[0], message[1], message[2:])
            except (protocol.ProtocolError, IndexError, ValueError):
                self.close()
