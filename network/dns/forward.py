"""Questions about names that are none of ours, taken to a nameserver and back."""

from __future__ import annotations

import asyncio
import secrets
import socket
from contextlib import closing
from typing import Final

from network.dns import message, upstreams
from network.dns.message import Question, Rcode
from network.dns.names import View
from network.dns.sockets import Kind, Outgoing, make, spared
from network.dns.upstreams import Asked, HostFile, Server

_ANSWER_SECONDS: Final = (
    4.0  # for each nameserver, as Docker: the second one is heard before clients give up (5 s)
)
_IN_FLIGHT: Final = 1024  # sockets of one container, as Docker
_WAITING: Final = 4096
_DATAGRAM: Final = 65535
_NEXT: Final = frozenset((Rcode.SERVFAIL, Rcode.REFUSED))  # answers that may be better elsewhere


class Forwarder:
    """The way out of one container.

    Every question goes with an id and from a port of its own, both random, and an answer must come from where it was
    sent, with that id and question. It is asked from inside the container's namespace, so what the container may not
    reach it cannot reach by names either; a nameserver on the host's loopback is asked for containers that have a way
    out, and for no others.
    """

    def __init__(self, view: View, host: HostFile, outgoing: Outgoing) -> None:
        self.asked = Asked()
        self._view = view
        self._host = host
        self._outgoing = outgoing
        self._sockets = asyncio.Semaphore(_IN_FLIGHT)
        self._waiting = 0

    def close(self) -> None:
        """Close the sockets that are idle."""
        self._outgoing.close()

    async def forward(self, query: bytes, question: Question, *, tcp: bool) -> bytes:
        """The answer: the first nameserver's that has one, else a failure."""
        if self._waiting >= _WAITING:
            return message.failure(query, question, Rcode.REFUSED)
        self._waiting += 1
        try:
            host = await self._host.current()
            is_address = question.kind in (message.A, message.AAAA)
            if (
                is_address
                and message.is_single_label(question.name)
                and upstreams.is_ndots_set(self.asked, host)
            ):
                return message.answer(query, question, (), message.UDP_SIZE)
            for server in upstreams.servers(self.asked, host, ipv6=self._view.has_ipv6):
                if server.on_host and not self._view.is_external:
                    continue
                response = await self._ask(server, query, question, tcp=tcp)
                if response is not None and message.rcode(response) not in _NEXT:
                    return message.with_question_of(query, question, response)
        except TimeoutError:  # no socket in time
            return message.failure(query, question, Rcode.REFUSED)
        finally:
            self._waiting -= 1
        return message.failure(query, question, Rcode.SERVFAIL)

    async def _ask(self, server: Server, query: bytes, question: Question, *, tcp: bool) -> bytes | None:
        """What one nameserver answers in time, None for nothing. Raises TimeoutError when there is no socket."""
        async with asyncio.timeout(_ANSWER_SECONDS):
            await self._sockets.acquire()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                kind = (server.family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
                with closing(await self._socket(server, kind)) as ours:
                    exchange = _by_stream if tcp else _by_datagram
                    return await exchange(ours, server, secrets.token_bytes(2) + query[2:], question)
        except (OSError, EOFError):  # TimeoutError is one
            return None
        finally:
            self._sockets.release()

    async def _socket(self, server: Server, kind: Kind) -> socket.socket:
        return spared(make(kind) if server.on_host else await self._outgoing.take(kind))


async def _by_datagram(ours: socket.socket, server: Server, query: bytes, question: Question) -> bytes:
    loop = asyncio.get_running_loop()
    ours.connect(server.target())
    ours.send(query)
    while True:
        response = await loop.sock_recv(ours, _DATAGRAM)
        if message.answers(query, question, response):
            return response


async def _by_stream(ours: socket.socket, server: Server, query: bytes, question: Question) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_connect(ours, server.target())
    await loop.sock_sendall(ours, len(query).to_bytes(2, "big") + query)
    length = int.from_bytes(await receive(ours, 2), "big")
    response = await receive(ours, length)
    if not message.answers(query, question, response):
        raise EOFError("an answer to something else")
    return response


async def receive(connection: socket.socket, length: int) -> bytes:
    """That many bytes. Raises EOFError when the other side has ended, OSError."""
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < length:
        more = await loop.sock_recv(connection, length - len(data))
        if not more:
            raise EOFError("the connection was ended")
        data += more
    return data
