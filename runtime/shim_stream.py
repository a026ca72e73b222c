"""The stream of an attached client through a shim: what a process writes, and its stdin."""

import asyncio
import contextlib
import socket
from pathlib import Path

from runtime.shim import descriptors, protocol
from runtime.shim_client import Readiness, RefusedError, Reply, ShimLostError, connect

_CHUNK = 1 << 16
_FDS = 4


class Stream:
    """An attached client's two directions. One reader and one writer at a time, each in a task of its own."""

    def __init__(self, sock: socket.socket, early: bytes) -> None:
        self._socket: socket.socket | None = sock
        self._early = early
        self._loop = asyncio.get_running_loop()
        self._users = 0

    async def read(self) -> bytes:
        """Return output as it comes, stdcopy frames (in any pieces) or raw for a terminal; b"" at its end."""
        if self._early:
            early, self._early = self._early, b""
            return early
        sock = self._enter()
        if sock is None:
            return b""
        try:
            return await self._loop.sock_recv(sock, _CHUNK)
        except OSError:
            return b""
        finally:
            self._leave(sock)

    async def write(self, data: bytes) -> None:
        """Write to the process's stdin; waits while it is full. Dropped when the process or its shim is
        gone.
        """
        if data:
            await self._send(data)

    async def write_eof(self) -> None:
        """Tell the end of stdin. It closes the process's stdin for an exec and for a container with
        StdinOnce.
        """
        await self._send(b"")

    def leave(self) -> None:
        """Want no more output: the shim is told, and `read` comes to an end. Input goes on."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Let go. The process's stdin stays open unless its end was told; pending calls return."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        if self._users == 0:
            sock.close()
            return
        try:
            sock.shutdown(socket.SHUT_RDWR)  # wakes those who wait; the last of them closes
        except OSError:
            pass

    async def _send(self, data: bytes) -> None:
        sock = self._enter()
        if sock is None:
            return
        try:
            await self._loop.sock_sendall(sock, protocol.input_header(len(data)) + data)
        except OSError:
            pass
        except BaseException:
            self.close()  # half a chunk was sent: nothing more can be said on this stream
            raise
        finally:
            self._leave(sock)

    def _enter(self) -> socket.socket | None:
        if self._socket is not None:
            self._users += 1
        return self._socket

    def _leave(self, sock: socket.socket) -> None:
        self._users -= 1
        if self._socket is None and self._users == 0:
            sock.close()


async def open_stream(state_dir: Path, verb: str, *arguments: str | bytes | int) -> tuple[Stream, Reply]:
    """Connect, ask for a stream by `attach` or `exec`, and return it. Raises RefusedError and
    ShimLostError.
    """
    sock = await connect(state_dir)
    try:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, protocol.encode("1", verb, *arguments))
        decoder = protocol.Decoder()
        fds: list[int] = []
        while (message := decoder.next()) is None:
            await _until_readable(loop, sock)
            data, received = descriptors.receive(sock, _CHUNK, _FDS)
            fds += received
            if not data:
                raise ShimLostError
            decoder.feed(data)
        if message[1] != b"ok":
            raise RefusedError(int(message[2]), message[3].decode("utf-8", "replace"))
        return Stream(sock, decoder.rest()), Reply(message[2:], fds[0] if fds else -1)
    except OSError as error:
        sock.close()
        raise ShimLostError from error
    except BaseException:
        sock.close()
        raise


async def _until_readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    readable: asyncio.Future[None] = loop.create_future()

    def ready() -> None:
        if not readable.done():
            readable.set_result(None)

    readiness = Readiness(loop, sock, ready)
    try:
        await readable
    finally:
        readiness.close()
