"""Receivers of logs: sockets of this process, in this network namespace or another's, that keep what they get."""

import contextlib
import ctypes
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


def in_netns(pid: int, work: Callable[[], T]) -> T:
    """What `work` returns in the network namespace of a process: sockets that it makes stay there."""
    results: list[T] = []

    def run() -> None:
        fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        assert _libc.setns(fd, _CLONE_NEWNET) == 0
        os.close(fd)
        results.append(work())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return results[0]


class Receiver:
    """A bound socket whose messages (datagrams, or all bytes of a connection) are in `got`."""

    def __init__(self, address: str | tuple[str, int], kind: socket.SocketKind, *, netns: int = 0) -> None:
        """A path, or a host and a port, 0 for any. Nothing is received before `start`."""
        self.got: list[bytes] = []
        self.answer: Callable[[bytes], bytes] | None = None
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.kind = kind
        make = lambda: self._make(family, address)  # noqa: E731
        self.socket = in_netns(netns, make) if netns else make()
        self._connections: list[socket.socket] = []
        self._closed = False

    def _make(self, family: socket.AddressFamily, address: str | tuple[str, int]) -> socket.socket:
        made = socket.socket(family, self.kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        if self.kind is socket.SOCK_STREAM:
            made.listen(8)
        return made

    @property
    def port(self) -> int:
        """The port that it has."""
        port: int = self.socket.getsockname()[1]
        return port

    def start(self) -> "Receiver":
        """Receive from now on."""
        self.socket.settimeout(0.1)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def close(self) -> None:
        """No more; connections end."""
        self._closed = True
        if hasattr(self, "_thread"):
            self._thread.join()
        self.cut()
        for each in self._connections:
            each.close()
        self.socket.close()

    def cut(self) -> None:
        """End the connections there are, at once."""
        for each in self._connections:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def until(self, holds: Callable[[list[bytes]], object], seconds: float = 20) -> list[bytes]:
        """What was got once that holds."""
        deadline = time.monotonic() + seconds
        while not holds(self.got):
            assert time.monotonic() < deadline, f"received {len(self.got)}: {self.got[-3:]!r}"
            time.sleep(0.01)
        return self.got

    def _run(self) -> None:
        while not self._closed:
            with contextlib.suppress(TimeoutError):
                if self.kind is socket.SOCK_DGRAM:
                    self.got.append(self._datagram())
                else:
                    connection, _ = self.socket.accept()
                    self._connections.append(connection)
                    self.got.append(b"")
                    place = len(self.got) - 1
                    threading.Thread(target=self._read, args=(connection, place), daemon=True).start()

    def _datagram(self) -> bytes:
        data, fds, _, _ = socket.recv_fds(self.socket, 1 << 17, 1)
        if not fds:
            return data
        with os.fdopen(fds[0], "rb") as file:  # the journal's way for what is too large
            file.seek(0)
            return file.read()

    def _read(self, connection: socket.socket, place: int) -> None:
        with contextlib.suppress(OSError):
            connection.setblocking(True)
            while data := connection.recv(1 << 16):
                self.got[place] += data
                if self.answer is not None:
                    connection.sendall(self.answer(data))
