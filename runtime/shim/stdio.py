"""A process's standard streams as its shim holds them: output that fans out, input that queues."""

from __future__ import annotations

import os
import termios
from fcntl import ioctl

from runtime.shim.epoll import READ, WRITE, Loop
from runtime.shim.jsonlog import JsonLog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Client(Protocol):
        """Whoever takes output."""

        @property
        def owed(self) -> int:
            """Bytes it has not taken yet."""

        def push(self, stream: int, chunk: bytes) -> None:
            """Take a chunk of STDOUT or STDERR."""

        def finish(self) -> None:
            """There is no more."""


READ_SIZE = 1 << 16
CLIENT_LIMIT = 1 << 20  # a client that owes more halts this process's output, as a full pipe would
INPUT_LIMIT = 1 << 18
_REST_LIMIT = 1 << 22  # bytes of input that may wait when clients are gone
_CLOGGED = 60 << 10  # bytes: a pipe that holds more has hardly room for another write
_DRAIN_LIMIT = 1 << 22  # a process that left writers behind which never stop must not hold up the exit


class Output:
    """Reads what the process writes, logs it and gives it to every client."""

    def __init__(self, loop: Loop, log: JsonLog | None, ended: Callable[[], None]) -> None:
        """`ended` is called when the last writer is gone."""
        self.clients: list[Client] = []
        self.open = True
        self._loop = loop
        self._log = log
        self._ended = ended
        self._sources: dict[int, int] = {}
        self._paused = False

    def add(self, fd: int, stream: int) -> None:
        """Take over the read end of STDOUT or STDERR."""
        os.set_blocking(fd, False)
        self._sources[fd] = stream

    @property
    def clogged(self) -> bool:
        """Whether a pipe is about full."""
        return any(_waiting(fd) >= _CLOGGED for fd in self._sources)

    def skip(self) -> None:
        """Drop what is there: it is not the process's."""
        for fd in self._sources:
            try:
                while os.read(fd, READ_SIZE):
                    pass
            except OSError:  # nothing more
                continue

    def begin(self) -> None:
        """Begin to read."""
        for fd in self._sources:
            self._loop.watch(fd, READ, self._readable)

    def attach(self, client: Client) -> None:
        """Give `client` everything from now on."""
        self.clients.append(client)
        if not self.open:
            client.finish()

    def detach(self, client: Client) -> None:
        """Let `client` go."""
        if client in self.clients:
            self.clients.remove(client)
            self.balance()

    def balance(self) -> None:
        """Halt or go on reading by what the slowest client owes."""
        paused = any(client.owed > CLIENT_LIMIT for client in self.clients)
        if paused == self._paused:
            return
        self._paused = paused
        for fd in self._sources:
            self._loop.watch(fd, 0 if paused else READ, self._readable)

    def drain(self) -> None:
        """Read all that is there now, whether or not clients keep up: the process has ended."""
        budget = _DRAIN_LIMIT
        for fd in list(self._sources):
            while budget > 0 and fd in self._sources and (size := self._read(fd)):
                budget -= size

    @property
    def drained(self) -> bool:
        """Whether no writer is left."""
        return not self._sources

    def finish(self) -> None:
        """Close, flush the log, and let each client go when it has got its due."""
        self.discard()
        self.open = False
        if self._log is not None:
            self._log.flush()
        for client in list(self.clients):
            client.finish()

    def discard(self) -> None:
        """Close without a word: the process never came to be."""
        for fd in list(self._sources):
            self._drop(fd)
        # The process is its owner: it would be a cycle, and a shim that is never idle collects none.
        self._ended = _nobody_asks

    def _readable(self, fd: int, _events: int) -> None:
        if not self._read(fd) and not self._sources:
            self._ended()

    def _read(self, fd: int) -> int:
        """Pass one chunk on. Returns its size, 0 when nothing is there or the end was reached."""
        try:
            chunk = os.read(fd, READ_SIZE)
        except BlockingIOError:
            return 0
        except OSError:  # EIO: the last user of the terminal is gone
            chunk = b""
        if not chunk:
            self._drop(fd)
            return 0
        stream = self._sources[fd]
        if self._log is not None:
            self._log.write(stream, chunk)
        for client in list(self.clients):
            client.push(stream, chunk)
        return len(chunk)

    def _drop(self, fd: int) -> None:
        self._loop.forget(fd)
        os.close(fd)
        del self._sources[fd]


def _nobody_asks() -> None:
    """The last writer is gone, which is known by then."""


def _waiting(fd: int) -> int:
    return int.from_bytes(ioctl(fd, termios.FIONREAD, bytes(4)), "little")


class Input:
    """Writes what clients send into the process's stdin, in order, as fast as it reads."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._fd = -1
        self._queue = bytearray()
        self._ending = False
        self._waiting: list[Callable[[], None]] = []

    def add(self, fd: int) -> None:
        """Take over the write end."""
        os.set_blocking(fd, False)
        self._fd = fd
        self._pump(fd, WRITE)

    @property
    def full(self) -> bool:
        """Whether a client should wait (see `when_room`)."""
        return len(self._queue) >= INPUT_LIMIT

    @property
    def takes_rest(self) -> bool:
        """Whether there is room for what a client has left that is gone."""
        return len(self._queue) < _REST_LIMIT

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call back once there is room again."""
        self._waiting.append(callback)

    def call_off(self, callback: Callable[[], None]) -> None:
        """Do not call back, if that has not happened."""
        if callback in self._waiting:
            self._waiting.remove(callback)

    def write(self, data: bytes) -> None:
        """Queue `data`; dropped when the process has no stdin (any more)."""
        if self._fd >= 0 and not self._ending:
            self._queue += data
            self._pump(self._fd, WRITE)

    def end(self) -> None:
        """Close stdin once all that is queued was written."""
        self._ending = True
        if self._fd >= 0:
            self._pump(self._fd, WRITE)

    def close(self) -> None:
        """Close at once; what is queued is lost."""
        self._queue.clear()
        if self._fd >= 0:
            self._loop.forget(self._fd)
            os.close(self._fd)
            self._fd = -1
        self._wake()

    def _pump(self, fd: int, _events: int) -> None:
        try:
            while self._queue:
                del self._queue[: os.write(fd, self._queue)]
        except BlockingIOError:
            self._loop.watch(fd, WRITE, self._pump)
        except OSError:  # the reader is gone
            self.close()
            return
        else:
            self._loop.forget(fd)
            if self._ending:
                self.close()
        if not self.full:
            self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()
