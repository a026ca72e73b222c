"""Serves the queries of one container, on the daemon's loop."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Coroutine
from typing import Any, Final

from network.dns import message
from network.dns.forward import Forwarder, receive
from network.dns.message import Question
from network.dns.names import View
from network.dns.sockets import Listening, spared

_DATAGRAM: Final = 4096
_DATAGRAMS_A_TURN: Final = 64
_ACCEPTS_A_TURN: Final = 16
_MAX_CONNECTIONS: Final = 64
_QUERIES_A_CONNECTION: Final = 128
_FIRST_SECONDS: Final = 2.0
_IDLE_SECONDS: Final = 8.0
_RETRY_SECONDS: Final = 0.5
_READY: Final = 256
_ID: Final = 2


class DnsServer:
    """Answers what the view knows at once, the rest in tasks of its own; from start() to close()."""

    def __init__(self, listening: Listening, view: View, forwarder: Forwarder) -> None:
        self.forwarder = forwarder
        self._udp = listening.udp
        self._listening = listening
        self._view = view
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._started = False
        self._accepting = False
        self._retry: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to serve; what came before is answered now."""
        self._started = True
        self._loop.add_reader(self._udp.fileno(), self._receive)
        self._listen()

    def close(self) -> None:
        """Stop, end connections, close the sockets."""
        if self._started:
            self._loop.remove_reader(self._udp.fileno())
        self._pause()
        if self._retry is not None:
            self._retry.cancel()
        for task in self._tasks:
            task.cancel()
        self.forwarder.close()
        self._listening.close()

    def _receive(self) -> None:
        udp, ready = self._udp, self._view.ready
        for _ in range(_DATAGRAMS_A_TURN):
            try:
                query, client = udp.recvfrom(_DATAGRAM)
            except OSError:  # drained
                return
            rest = ready.get(query[_ID:])
            if rest is not None:
                self._send(query[:_ID] + rest, client)
                continue
            question = message.read(query)
            if isinstance(question, Question):
                response = self._known(query, question)
                if response is None:
                    self._spawn(self._relay(query, question, client))
                    continue
            elif question is None:
                continue
            else:
                response = message.refusal(query, question)
            self._send(response, client)

    def _known(self, query: bytes, question: Question, limit: int = 0) -> bytes | None:
        """The answer when the name is one of ours; `limit` 0 for a datagram."""
        if question.kind == 0:
            return None
        known = self._view.find(question.name)
        if known is None:
            return None
        records = known.get(question.kind, ())
        if len(records) > 1:
            shuffled = list(records)
            random.shuffle(shuffled)
            return message.answer(query, question, shuffled, limit or message.udp_limit(query, question))
        if limit:
            return message.answer(query, question, records, limit)
        response = message.answer(query, question, records, message.UDP_SIZE)
        self._remember(query, response)
        return response

    def _remember(self, query: bytes, response: bytes) -> None:
        """The same question is answered by the same bytes."""
        ready = self._view.ready
        if len(ready) >= _READY:
            ready.clear()
        ready[query[_ID:]] = response[_ID:]

    async def _relay(self, query: bytes, question: Question, client: Any) -> None:
        self._send(await self.forwarder.forward(query, question, tcp=False), client)

    def _send(self, response: bytes, client: Any) -> None:
        try:
            self._udp.sendto(response, client)
        except OSError:  # a datagram may get lost, and one too long cannot be sent
            return

    def _listen(self) -> None:
        self._retry = None
        self._accepting = True
        self._loop.add_reader(self._listening.tcp.fileno(), self._accept)

    def _pause(self) -> None:
        if self._accepting:
            self._accepting = False
            self._loop.remove_reader(self._listening.tcp.fileno())

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_A_TURN):
            if self._connections >= _MAX_CONNECTIONS:
                return self._wait()
            try:
                connection = spared(self._listening.tcp.accept()[0])
            except (BlockingIOError, ConnectionAbortedError):
                return None
            except OSError:  # no descriptors
                return self._wait()
            connection.settimeout(0)
            self._connections += 1
            self._spawn(self._converse(connection))
        return None

    def _wait(self) -> None:
        self._pause()
        self._retry = self._loop.call_later(_RETRY_SECONDS, self._listen)

    async def _converse(self, connection: socket.socket) -> None:
        """Answer queries one after the other until the client ends, or is silent for too long."""
        with connection, contextlib.suppress(OSError, EOFError):  # TimeoutError is an OSError
            seconds = _FIRST_SECONDS
            try:
                for _ in range(_QUERIES_A_CONNECTION):
                    async with asyncio.timeout(seconds):
                        query = await receive(connection, int.from_bytes(await receive(connection, 2), "big"))
                    response = await self._answer_to(query)
                    if response is None:
                        return
                    async with asyncio.timeout(_IDLE_SECONDS):
                        await self._loop.sock_sendall(connection, len(response).to_bytes(2, "big") + response)
                    seconds = _IDLE_SECONDS
            finally:
                self._connections -= 1

    async def _answer_to(self, query: bytes) -> bytes | None:
        question = message.read(query)
        if question is None:
            return None
        if not isinstance(question, Question):
            return message.refusal(query, question)
        known = self._known(query, question, message.TCP_SIZE)
        return known if known is not None else await self.forwarder.forward(query, question, tcp=True)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
