"""A client's connection once it has become a stream: stdin in, output out."""

from __future__ import annotations

import select
import socket

from runtime.shim.epoll import READ, WRITE, Loop
from runtime.shim.protocol import STDERR, STDOUT, InputDecoder, output_header
from runtime.shim.stdio import READ_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runtime.shim.process import Process


class StreamClient:
    """One attached client. `wants` holds some of b"i", b"o", b"e": stdin, stdout, stderr."""

    def __init__(self, loop: Loop, sock: socket.socket, process: Process, wants: bytes) -> None:
        self._loop = loop
        self._socket = sock
        self._fd = sock.fileno()
        self._process = process
        self._streams = {stream for stream, letter in ((STDOUT, b"o"), (STDERR, b"e")) if letter in wants}
        self._takes_input = b"i" in wants
        self._decoder = InputDecoder()
        self._buffer = bytearray()
        self._reading = True
        self._finishing = False

    @property
    def owed(self) -> int:
        """Bytes of output it has not taken yet."""
        return len(self._buffer)

    def begin(self, early: bytes) -> None:
        """Take part from now on; `early` came in behind the request."""
        self._process.output.attach(self)
        if self._fd >= 0:
            self._receive(early)
            self._watch()

    def push(self, stream: int, chunk: bytes) -> None:
        """Send output, or keep it until the client takes it."""
        if stream not in self._streams:
            return
        parts = [chunk] if self._process.terminal else [output_header(stream, len(chunk)), chunk]
        sent = 0
        if not self._buffer:
            try:
                sent = self._socket.sendmsg(parts)
            except BlockingIOError:
                pass
            except OSError:
                self._lose_output()
                return
        data = b"".join(parts)
        if sent < len(data):
            self._buffer += data[sent:]
            self._watch()
            self._process.output.balance()

    def finish(self) -> None:
        """Close once everything was taken."""
        self._finishing = True
        if not self._buffer:
            self.close()

    def close(self) -> None:
        """Close at once."""
        if self._fd < 0:
            return
        self._loop.forget(self._fd)
        self._socket.close()
        self._fd = -1
        self._buffer.clear()
        self._process.output.detach(self)
        self._process.input.call_off(self._resume)

    def _watch(self) -> None:
        # A client whose input waits may go meanwhile, and the process never read it.
        wanted = READ if self._reading else select.EPOLLRDHUP
        self._loop.watch(self._fd, wanted | (WRITE if self._buffer else 0), self._ready)

    def _ready(self, _fd: int, events: int) -> None:
        if events & (WRITE | select.EPOLLERR | select.EPOLLHUP) and self._buffer:
            self._send()
        if self._fd >= 0 and events & ~WRITE:
            if self._reading:
                self._read()
            else:
                self._take_rest()

    def _send(self) -> None:
        try:
            del self._buffer[: self._socket.send(self._buffer)]
        except BlockingIOError:
            return
        except OSError:
            self._lose_output()
            return
        if not self._buffer:
            if self._finishing:
                self.close()
                return
            self._watch()
        self._process.output.balance()

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._receive(data)
        else:
            self._lost()

    def _receive(self, data: bytes) -> None:
        chunk = self._decoder.feed(data)
        if not self._takes_input:
            return
        stdin = self._process.input
        if chunk:
            stdin.write(chunk)
        if self._decoder.ended:
            self._process.end_input()
            self._takes_input = False
        elif stdin.full:
            self._reading = False
            self._watch()
            stdin.when_room(self._resume)

    def _take_rest(self) -> None:
        """Take what it had sent before it went, but no more than may wait: it would hold its socket for as long."""
        stdin = self._process.input
        try:
            while stdin.takes_rest and not self._decoder.ended and (data := self._socket.recv(READ_SIZE)):
                stdin.write(self._decoder.feed(data))
        except OSError:  # nothing more
            pass
        if self._decoder.ended:
            self._process.end_input()
        self._lost()

    def _lost(self) -> None:
        """The connection is gone. Nobody comes to an exec again: its input is at its end."""
        if self._takes_input and self._process.name:
            self._process.end_input()
        self.close()

    def _resume(self) -> None:
        if self._fd >= 0:
            self._reading = True
            self._watch()

    def _lose_output(self) -> None:
        """The client reads no more; what it has sent is still to be taken, up to the end."""
        self._buffer.clear()
        self._streams.clear()
        if self._finishing:
            self.close()
            return
        self._watch()
        self._process.output.balance()
