"""Ways to a log's destination: a stream or datagrams. Whoever sends waits here, and nobody else."""

import array
import asyncio
import errno
import fcntl
import os
import socket
import ssl
import termios

from engine.logs.drivers.target import Batch

_CONNECT = 5.0  # seconds
_UNANSWERED = 30_000  # ms that sent data may go unacknowledged until the kernel gives a connection up
_LOOK = (0.0005, 0.05)  # seconds between looks at what the other side has taken, at first and at most
_AT_ONCE = 64  # datagrams, between which others have their turn
_FULL = (0.002, 0.1)  # seconds to wait for a receiver whose queue is full
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_ANSWERS = 64 * 1024  # bytes of acknowledgements that are held at most


class StreamLink:
    """A connection: TCP, TLS over it, or a unix socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._answers = b""
        writer.transport.set_write_buffer_limits(0)

    @classmethod
    async def open(
        cls, host: str = "", port: int = 0, *, path: str = "", tls: ssl.SSLContext | None = None
    ) -> "StreamLink":
        """Connect. OSError if that fails or takes longer than five seconds."""
        try:
            async with asyncio.timeout(_CONNECT):
                if path:
                    return cls(*await asyncio.open_unix_connection(path))
                name = host if tls else None
                link = cls(*await asyncio.open_connection(host, port, ssl=tls, server_hostname=name))
        except TimeoutError as error:
            raise OSError(errno.ETIMEDOUT, "no connection within 5 seconds") from error
        with socket.socket(fileno=os.dup(link._descriptor())) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNANSWERED)
        return link

    async def send(self, batch: Batch) -> None:
        """As of Link: until the other side's kernel has taken all, and its acknowledgements are here."""
        if self._reader.at_eof() or self._writer.transport.is_closing():
            raise ConnectionResetError(errno.ECONNRESET, "the connection was closed")
        self._writer.writelines(batch.pieces)
        await self._writer.drain()
        pause = _LOOK[0]
        while self._untaken():
            if self._reader.at_eof() or self._writer.transport.is_closing():
                raise ConnectionResetError(errno.ECONNRESET, "the connection was closed")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LOOK[1])
        for ack in batch.acks:
            await self._await(ack)

    def close(self) -> None:
        """As of Link."""
        if self._writer.transport.get_write_buffer_size():
            self._writer.transport.abort()
        else:
            self._writer.close()

    def _descriptor(self) -> int:
        sock = self._writer.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            raise ConnectionResetError(errno.ECONNRESET, "the connection was closed")
        return int(sock.fileno())

    def _untaken(self) -> int:
        return int.from_bytes(fcntl.ioctl(self._descriptor(), termios.TIOCOUTQ, bytes(4)), "little")

    async def _await(self, ack: bytes) -> None:
        while ack not in self._answers:
            data = await self._reader.read(4096)
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "the connection was closed")
            self._answers = (self._answers + data)[-_ANSWERS:]
        self._answers = self._answers.replace(ack, b"", 1)


class DatagramLink:
    """A connected datagram socket: UDP or unix. `by_memfd`: what is too large for one goes as a descriptor."""

    def __init__(self, sock: socket.socket, *, by_memfd: bool = False) -> None:
        self._socket = sock
        self._by_memfd = by_memfd

    @classmethod
    async def open(
        cls, host: str = "", port: int = 0, *, path: str = "", by_memfd: bool = False
    ) -> "DatagramLink":
        """Connect. OSError if there is nothing at the path, or no such host."""
        family: int = socket.AF_UNIX
        address: object = path
        if not path:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
            family, address = found[0][0], found[0][4]
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            sock.connect(address)  # type: ignore[arg-type]  # as getaddrinfo gives it, or a path
        except OSError:
            sock.close()
            raise
        return cls(sock, by_memfd=by_memfd)

    async def send(self, batch: Batch) -> None:
        """As of Link. A datagram that no network carries is left out."""
        for number, piece in enumerate(batch.pieces):
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            pause = _FULL[0]
            while not self._sent(piece):
                await asyncio.sleep(pause)
                pause = min(pause * 2, _FULL[1])

    def close(self) -> None:
        """As of Link."""
        self._socket.close()

    def _sent(self, piece: bytes) -> bool:
        try:
            self._socket.send(piece)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno == errno.ENOBUFS and not self._by_memfd:
                return False
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            if self._by_memfd:
                self._send_memfd(piece)
        return True

    def _send_memfd(self, piece: bytes) -> None:
        fd = os.memfd_create("message", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with os.fdopen(os.dup(fd), "wb") as file:
                file.write(piece)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            rights = array.array("i", [fd])
            self._socket.sendmsg([b""], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        finally:
            os.close(fd)
