"""Accepting clients: as many as there are descriptors for, less those that the daemon needs for itself.

Past that a new client takes the place of the one that has been idle for the longest; where none is idle it is told so.
A descriptor is the lowest number that is free: the number of a new connection tells how many are taken.
"""

import asyncio
import logging
import math
import resource
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from api import errors
from api.http_server import HttpServer
from api.tls import TlsConnection

_log = logging.getLogger(__name__)

_AT_ONCE = 32  # clients between two rounds of the loop, in which those who had to go are closed
_PAUSE = 0.2  # seconds, where the host has no descriptor or memory left: trying on would be a busy loop
_RELIEF = 0.75  # of the connections that there were when the table was full
_LEAST_KEPT, _MOST_KEPT = 64, 1024
_LET_IN = 16  # clients, whoever has the descriptors: with many containers somebody must be able to end some


def highest_descriptor() -> int:
    """The greatest number that a client's descriptor may have; an eighth of the limit is the daemon's own."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        limit = 1 << 30
    return limit - max(_LEAST_KEPT, min(limit // 8, _MOST_KEPT))


class Acceptor:
    """Accepts what comes in on listening, non-blocking sockets until it is closed; what comes by TCP is in `tls`."""

    def __init__(
        self,
        server: HttpServer,
        listening: Sequence[socket.socket],
        highest: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._server = server
        self._listening = listening
        self._highest = highest
        self._tls = tls
        self._limit: float = math.inf
        self._loop = asyncio.get_running_loop()
        self._refused: deque[socket.socket] = deque()
        self._beginning: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._resume()

    def close(self) -> None:
        """Accept nobody any more; the sockets stay open."""
        self._stop()
        if self._pause is not None:
            self._pause.cancel()
        for client in self._refused:
            client.close()

    def _resume(self) -> None:
        for each in self._listening:
            self._loop.add_reader(each.fileno(), self._ready, each)

    def _stop(self) -> None:
        for each in self._listening:
            self._loop.remove_reader(each.fileno())

    def _ready(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                client, _ = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                _log.error("no client can be accepted: %s", error.strerror)
                self._stop()
                self._pause = self._loop.call_later(_PAUSE, self._resume)
                return
            self._admit(client)

    def _admit(self, client: socket.socket) -> None:
        if self._full(client.fileno()) and not self._server.make_room():
            self._refuse(client)
            return
        client.settimeout(0)
        task: asyncio.Task[object] = self._loop.create_task(self._begin(client))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    def _full(self, descriptor: int) -> bool:
        """Whether one has to go for this one to come: from when the table was full until many have gone."""
        number = self._server.connected + len(self._beginning)
        if descriptor > self._highest:
            self._limit = max(_LET_IN, min(self._limit, number))
        elif number < self._limit * _RELIEF:
            self._limit = math.inf
        return number >= self._limit

    async def _begin(self, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol(client), client)
        except OSError:  # gone already
            client.close()

    def _protocol(self, client: socket.socket) -> Callable[[], asyncio.BaseProtocol]:
        if self._tls is None or client.family == socket.AF_UNIX:
            return self._server
        return partial(TlsConnection, self._server, self._tls)

    def _refuse(self, client: socket.socket) -> None:
        """Answer whatever it is going to ask, and let it ask for a moment: a client that cannot write may not read."""
        try:
            if self._protocol(client) is self._server:  # in TLS nothing can be said so soon
                client.send(_refusal(), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            _log.debug("a client that was one too many has gone by itself")
        while len(self._refused) >= _AT_ONCE:
            self._refused.popleft().close()
        self._refused.append(client)
        self._loop.call_later(_PAUSE, client.close)


def _refusal() -> bytes:
    body = errors.body("too many connections: the daemon's limit of open files is reached")
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
