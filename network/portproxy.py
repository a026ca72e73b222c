"""Carries what the kernel's DNAT cannot: [::1], and every IPv6 address to containers with IPv4 alone.

It serves the held sockets on the daemon's loop. Bytes of TCP go through `splice`, never through Python.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any, Final, Protocol

from network.udpproxy import Refuses, Target, UdpProxy, family_of

_CHUNK: Final = 1 << 16
_TURN: Final = 1 << 20  # bytes after which other tasks get a turn
_CONNECT_SECONDS: Final = 10.0
_MAX_CONNECTIONS: Final = 4096
_ACCEPTS_A_TURN: Final = 64
_RETRY_SECONDS: Final = 0.5


class Proxy(Protocol):
    """Serves one held socket from start() to close(); closing ends its connections, not the held socket."""

    def start(self) -> None:
        """Begin to serve, on the running loop."""

    def close(self) -> None:
        """Stop and drop all that is carried; idempotent."""


def make(proto: str, holder: socket.socket, target: Target, refuses: Refuses) -> Proxy | None:
    """The proxy for a held socket; None for SCTP, which is never carried."""
    if proto == "tcp":
        return TcpProxy(holder, target, refuses)
    return UdpProxy(holder, target, refuses) if proto == "udp" else None


class TcpProxy:
    """Accepts on a listening socket and joins each connection with one to the target; half-closes are passed on."""

    def __init__(self, listener: socket.socket, target: Target, refuses: Refuses) -> None:
        self._listener = listener
        self._refuses = refuses
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._accepting = False

    def start(self) -> None:
        """Begin to accept."""
        self._retry = None
        self._accepting = True
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Stop accepting and end all connections."""
        self._pause()
        if self._retry is not None:
            self._retry.cancel()
        for task in self._tasks:
            task.cancel()

    def _pause(self) -> None:
        if self._accepting:
            self._accepting = False
            self._loop.remove_reader(self._listener.fileno())

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_A_TURN):
            if len(self._tasks) >= _MAX_CONNECTIONS:
                return self._wait()
            try:
                client, address = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return None
            except OSError:  # out of descriptors or memory
                return self._wait()
            if self._refuses(address):
                client.close()
                continue
            task = self._loop.create_task(self._serve(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return None

    def _wait(self) -> None:
        self._pause()
        self._retry = self._loop.call_later(_RETRY_SECONDS, self.start)

    async def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(family_of(self._target), socket.SOCK_STREAM) as server:
            client.settimeout(0)
            server.settimeout(0)
            with contextlib.suppress(OSError):
                async with asyncio.timeout(_CONNECT_SECONDS):
                    await self._loop.sock_connect(server, self._target)
                await _join(client, server)


async def _join(client: socket.socket, server: socket.socket) -> None:
    """Carry both directions until both have ended, or one breaks."""
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_carry(client, server))
            both.create_task(_carry(server, client))
    except* OSError:
        pass  # both connections are closed by the caller


async def _carry(source: socket.socket, sink: socket.socket) -> None:
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        carried = 0
        while count := await _splice(source.fileno(), writer, _CHUNK, waiting_for=source, to_write=False):
            carried += count
            while count:
                count -= await _splice(reader, sink.fileno(), count, waiting_for=sink, to_write=True)
            if carried >= _TURN:
                carried = 0
                await asyncio.sleep(0)
        sink.shutdown(socket.SHUT_WR)
    finally:
        os.close(reader)
        os.close(writer)


async def _splice(source: int, sink: int, count: int, *, waiting_for: socket.socket, to_write: bool) -> int:
    while True:
        try:
            return os.splice(source, sink, count, flags=os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE)
        except BlockingIOError:
            await _ready(waiting_for.fileno(), to_write=to_write)


async def _ready(fd: int, *, to_write: bool) -> None:
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    add: Callable[..., Any] = loop.add_writer if to_write else loop.add_reader
    remove: Callable[[int], Any] = loop.remove_writer if to_write else loop.remove_reader
    add(fd, _wake, waiter)
    try:
        await waiter
    finally:
        remove(fd)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
