"""Sockets that belong to a container's namespace, made there by a thread and used on the daemon's loop."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
from concurrent.futures import Executor
from functools import partial
from typing import Final, NamedTuple

from network import netns
from network.dns import redirect
from network.dns.redirect import Ports
from network.nftables.transaction import Transactions, open_socket

_BACKLOG: Final = 64
_AT_ONCE: Final = 8  # a visit to the namespace takes a thread: a tenth of a millisecond
_IDLE_SECONDS: Final = 5.0

Kind = tuple[socket.AddressFamily, socket.SocketKind]


class Listening(NamedTuple):
    """The pair that queries are led to."""

    udp: socket.socket
    tcp: socket.socket

    def close(self) -> None:
        """Close both."""
        self.udp.close()
        self.tcp.close()


class Opened(NamedTuple):
    """`spent` are to be closed where nobody waits: netfilter's sockets take up to 30 ms."""

    listening: Listening
    spent: list[Transactions | socket.socket]


def listen(*, adopt: bool = False) -> Opened:
    """Bind both sockets in the namespace of the calling thread, and lead port 53 to them. Blocks; raises OSError.

    `adopt`: on the ports that the table there leads to, as far as they are free, so that the table may stay.
    """
    spent: list[Transactions | socket.socket] = []
    try:
        return Opened(_listen(spent, adopt=adopt), spent)
    except BaseException:
        for each in spent:
            each.close()
        raise


def adopt(fd: int) -> Opened:
    """The same in the namespace `fd`, which is closed, on the ports of before."""
    try:
        return netns.inside(fd, lambda: listen(adopt=True))
    finally:
        os.close(fd)


def _listen(spent: list[Transactions | socket.socket], *, adopt: bool) -> Listening:
    before = _before(spent) if adopt else redirect.ANY_PORTS
    udp = _bound(socket.SOCK_DGRAM, before.udp)
    try:
        tcp = _bound(socket.SOCK_STREAM, before.tcp)
    except BaseException:
        udp.close()
        raise
    listening = Listening(udp, tcp)
    try:
        tcp.listen(_BACKLOG)
        now = Ports(udp.getsockname()[1], tcp.getsockname()[1])
        if now != before:
            transactions = Transactions()
            spent.append(transactions)
            transactions.commit(redirect.table(now))
    except BaseException:
        listening.close()
        raise
    return listening


def _before(spent: list[Transactions | socket.socket]) -> Ports:
    netfilter = open_socket()
    spent.append(netfilter)
    return redirect.read(netfilter)


def _bound(kind: socket.SocketKind, port: int) -> socket.socket:
    """A bound socket; on another port when that one has been taken."""
    bound = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((redirect.ADDRESS, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == 0:
                raise
            bound.bind((redirect.ADDRESS, 0))
    except BaseException:
        bound.close()
        raise
    return bound


class Outgoing:
    """Unbound sockets of a namespace, each taken once: connecting it gives it a random port."""

    def __init__(self, fd: int, threads: Executor) -> None:
        """`fd` of the namespace; a copy is kept until close()."""
        self._fd = os.dup(fd)
        self._threads = threads
        self._idle: dict[Kind, list[socket.socket]] = {}
        self._filling: dict[Kind, asyncio.Future[None]] = {}
        self._expiry: asyncio.TimerHandle | None = None
        self._closed = False

    async def take(self, kind: Kind) -> socket.socket:
        """A non-blocking socket, the caller's from now on. Raises OSError."""
        while not self._idle.get(kind):
            await asyncio.shield(self._filling.get(kind) or self._fill(kind))
        return self._idle[kind].pop()

    def close(self) -> None:
        """Close what is idle, or comes later; whoever waits is to be cancelled."""
        self._closed = True
        self._expire()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _fill(self, kind: Kind) -> asyncio.Future[None]:
        if self._closed:
            raise OSError(errno.EBADF, "the namespace is gone")
        loop = asyncio.get_running_loop()
        ready = self._filling[kind] = loop.create_future()
        # A copy of its own: close() may come meanwhile, and the number be another namespace's.
        making = loop.run_in_executor(self._threads, partial(_make, os.dup(self._fd), kind))
        making.add_done_callback(partial(self._filled, kind, ready))
        return ready

    def _filled(
        self, kind: Kind, ready: asyncio.Future[None], making: asyncio.Future[list[socket.socket]]
    ) -> None:
        del self._filling[kind]
        failure = making.exception()
        if failure is not None:
            ready.set_exception(failure)
            ready.exception()  # those who waited may have been cancelled
            return
        self._idle.setdefault(kind, []).extend(making.result())
        ready.set_result(None)
        if self._closed:
            self._expire()
        elif self._expiry is None:
            self._expiry = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._expire)

    def _expire(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        for sockets in self._idle.values():
            for each in sockets:
                each.close()
            sockets.clear()


def _make(fd: int, kind: Kind) -> list[socket.socket]:
    count = _AT_ONCE if kind[1] == socket.SOCK_DGRAM else 1
    try:
        return netns.inside(fd, lambda: [make(kind) for _ in range(count)])
    finally:
        os.close(fd)


def spared(made: socket.socket) -> socket.socket:
    """The socket. Raises OSError, and closes it, when three quarters of this process's descriptors are taken.

    A descriptor is the lowest number that is free, so its number tells how many are; the others are for what is not
    asked by containers.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and made.fileno() >= limit * 3 // 4:
        made.close()
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return made


def make(kind: Kind) -> socket.socket:
    """A non-blocking socket in the namespace of the calling thread."""
    return socket.socket(kind[0], kind[1] | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
