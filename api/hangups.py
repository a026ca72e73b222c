"""Sockets whose other end is closed altogether."""

import asyncio
import contextlib
import select
from collections.abc import Callable


class Hangups:
    """Tells when the other end of a socket is closed altogether, whoever reads it and whether or not.

    A transport notices neither while its reading is paused, nor after the client's half-close. epoll reports
    EPOLLHUP regardless, and an epoll descriptor can itself be watched by the loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        loop.add_reader(self._epoll.fileno(), self._ready)

    def add(self, fd: int, callback: Callable[[], None]) -> None:
        """Call back once when the socket `fd` is hung up."""
        self._callbacks[fd] = callback
        try:
            self._epoll.register(fd, 0)
        except FileExistsError:
            self._epoll.modify(fd, 0)

    def discard(self, fd: int, callback: Callable[[], None]) -> None:
        """Forget a socket, unless its number belongs to another one by now."""
        if self._callbacks.get(fd) is callback:
            self._forget(fd)

    def close(self) -> None:
        """Stop watching."""
        self._callbacks.clear()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _ready(self) -> None:
        for fd, _ in self._epoll.poll(0):
            callback = self._callbacks.get(fd)
            self._forget(fd)
            if callback is not None:
                callback()

    def _forget(self, fd: int) -> None:
        self._callbacks.pop(fd, None)
        with contextlib.suppress(OSError):
            self._epoll.unregister(fd)
