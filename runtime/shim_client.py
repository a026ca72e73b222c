"""The daemon's side of the shim protocol: connections to a shim, and its control channel."""

import asyncio
import os
import select
import socket
from collections.abc import Callable
from pathlib import Path

from runtime.shim import descriptors, protocol

_CHUNK = 1 << 16
_FDS = 4


class ShimLostError(Exception):
    """The shim closed the connection, or does not listen."""


class RefusedError(Exception):
    """The shim said no: the runtime's exit code (0 when it was not the runtime) and the shim's own text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text or f"status {code}")
        self.code = code
        self.text = text


class Reply:
    """The fields behind "ok", and a descriptor that came along (-1: none), which the taker closes."""

    def __init__(self, fields: list[bytes], fd: int) -> None:
        self.fields = fields
        self.fd = fd


class Readiness:
    """Calls back when a socket can be read, has an error or is closed by its peer.

    The loop is shown an epoll of its own: of a socket with an error (its peer died with requests unread: ECONNRESET)
    libuv tells uvloop EBADF, and a reader on the socket itself would never be called again.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, callback: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._callback = callback
        self._epoll = select.epoll()
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        loop.add_reader(self._epoll.fileno(), self._ready)

    def close(self) -> None:
        """Watch no longer; to be called before the socket is closed."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _ready(self) -> None:
        if self._epoll.poll(0):
            self._callback()


class Control:
    """A connection of messages. Requests are answered in any order; events go to `on_event` with their
    descriptor.
    """

    def __init__(
        self, sock: socket.socket, on_event: Callable[[list[bytes], int], None], on_lost: Callable[[], None]
    ) -> None:
        """Take over a connected non-blocking socket. `on_lost` is called once, unless `close` was called
        before.
        """
        self._socket: socket.socket | None = sock
        self._on_event = on_event
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._decoder = protocol.Decoder()
        self._fds: list[int] = []
        self._replies: dict[bytes, asyncio.Future[Reply]] = {}
        self._last_request = 0
        self._readiness = Readiness(self._loop, sock, self._readable)

    async def request(self, verb: str, *arguments: str | bytes | int) -> Reply:
        """Ask and return the answer. Raises RefusedError and ShimLostError."""
        if self._socket is None:
            raise ShimLostError
        self._last_request += 1
        number = b"%d" % self._last_request
        reply: asyncio.Future[Reply] = self._loop.create_future()
        self._replies[number] = reply
        try:
            message = protocol.encode(number, verb, *arguments)
            if self._socket.send(message) != len(message):
                raise ShimLostError
            return await reply
        except OSError as error:  # also when a shim that is stopped lets its requests pile up
            raise ShimLostError from error
        finally:
            self._replies.pop(number, None)

    def close(self) -> None:
        """Close it; pending requests fail with ShimLostError."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        self._readiness.close()
        sock.close()
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
        self.give_up()

    def give_up(self) -> None:
        """Wait for no answer any more: pending requests fail with ShimLostError."""
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(ShimLostError())

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            data, fds = descriptors.receive(self._socket, _CHUNK, _FDS)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        self._fds += fds
        if not data:
            self._lose()
            return
        self._decoder.feed(data)
        try:
            while self._socket is not None and (message := self._decoder.next()) is not None:
                self._take(message)
        except (protocol.ProtocolError, IndexError, ValueError):
            self._lose()

    def _lose(self) -> None:
        self.close()
        self._on_lost()

    def _take(self, message: list[bytes]) -> None:
        number, word, fields = message[0], message[1], message[2:]
        if number == b"0":
            self._on_event(message[1:], self._fd_of(word, fields))
            return
        reply = self._replies.get(number)
        fd = self._fd_of(word, fields)
        if reply is None or reply.done():
            if fd >= 0:
                os.close(fd)
        elif word == b"ok":
            reply.set_result(Reply(fields, fd))
        else:
            reply.set_exception(RefusedError(int(fields[0]), fields[1].decode("utf-8", "replace")))

    def _fd_of(self, word: bytes, fields: list[bytes]) -> int:
        """Return the descriptor of this message: they come with the bytes, in the order of the messages."""
        return self._fds.pop(0) if self._fds and carries_fd(word, fields) else -1


def carries_fd(word: bytes, fields: list[bytes]) -> bool:
    """Tell whether a message may have brought a pidfd: the created event, and answers that name a process."""
    return word == b"created" or (word == b"ok" and bool(fields))


async def connect(state_dir: Path) -> socket.socket:
    """Return a connection to the shim that listens in `state_dir`. Raises ShimLostError when none does.

    The path goes through a directory descriptor, since a socket's may have 107 bytes at most.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        while True:
            try:
                _connect(sock, state_dir)
            except BlockingIOError:  # its backlog is full
                await asyncio.sleep(0.01)
                continue
            return sock
    except OSError as error:
        sock.close()
        raise ShimLostError from error
    except BaseException:
        sock.close()
        raise


def _connect(sock: socket.socket, state_dir: Path) -> None:
    directory = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sock.connect(f"/proc/self/fd/{directory}/sock")
    finally:
        os.close(directory)
