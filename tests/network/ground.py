"""A host of its own for a test: a network namespace, and a client behind a wire, as the outside.

The main thread is moved into the namespace for the time of the test; threads and processes that it starts are there
too.
"""

import asyncio
import contextlib
import ctypes
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from network import netns
from network.sandbox import Sandbox

T = TypeVar("T")

HOST4, CLIENT4 = "192.0.2.2", "192.0.2.9"
HOST6, CLIENT6 = "2001:db8::2", "2001:db8::9"
SERVER = Path(__file__).with_name("server.py")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def run(*argv: str, check: bool = True) -> str:
    """The output of a command in the namespace of the calling thread."""
    return subprocess.run(argv, check=check, capture_output=True, text=True).stdout


@dataclass
class Server:
    """Answers each TCP connection and each datagram with its name and the address of the peer that it sees."""

    name: str
    sockets: list[socket.socket]
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def start(self) -> None:
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def close(self) -> None:
        self.stop.set()
        if self.thread is not None:
            self.thread.join()
        for each in self.sockets:
            each.close()

    def _serve(self) -> None:
        poll, sockets = select.poll(), {each.fileno(): each for each in self.sockets}
        for fd in sockets:
            poll.register(fd, select.POLLIN)  # select() ends at descriptor 1024
        while not self.stop.is_set():
            for fd, _ in poll.poll(50):
                ready = sockets[fd]
                if ready.type == socket.SOCK_DGRAM:
                    data, peer = ready.recvfrom(65535)
                    ready.sendto(f"{self.name} {peer[0]} ".encode() + data, peer)
                    continue
                connection, peer = ready.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(10)
                    data = connection.recv(65535)
                    connection.sendall(f"{self.name} {peer[0]} ".encode() + data)


class Ground:
    """The host and the client, and what was started on them."""

    def __init__(self) -> None:
        self.host = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.client = netns.create(lambda: None)
        self._servers: list[Server] = []
        self._processes: list[subprocess.Popen[str]] = []
        self._wire()

    def close_servers(self) -> None:
        """End the servers, whose sockets keep namespaces alive."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    def close(self) -> None:
        self.close_servers()
        for process in self._processes:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        os.close(self.client)
        os.close(self.host)

    def serve(self, where: int | Sandbox, name: str, *, port: int = 80, address: str = "0.0.0.0") -> Server:
        """A TCP and UDP server in a namespace."""
        fd = where.fd if isinstance(where, Sandbox) else where
        return self.add(Server(name, netns.inside(fd, lambda: _bound(address, port))))

    def add(self, server: Server) -> Server:
        """Start a server, and end it with the ground."""
        server.start()
        self._servers.append(server)
        return server

    def spawn(self, *argv: str, sandbox_fd: int | None = None) -> "subprocess.Popen[str]":
        """A process of the test, in a sandbox or on the host, with pipes as stdin and stdout."""
        enter = [] if sandbox_fd is None else ["nsenter", f"--net=/proc/{os.getpid()}/fd/{sandbox_fd}"]
        pipe = subprocess.PIPE
        process = subprocess.Popen([*enter, *argv], stdin=pipe, stdout=pipe, text=True)
        self._processes.append(process)
        return process

    def spawn_server(self, sandbox_fd: int, name: str, port: int = 80) -> "subprocess.Popen[str]":
        """A server as a process, which outlives whoever made its sandbox."""
        process = self.spawn(sys.executable, "-I", str(SERVER), name, str(port), sandbox_fd=sandbox_fd)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    async def ask(
        self,
        where: int | Sandbox,
        address: str,
        port: int,
        *,
        udp: bool = False,
        seconds: float = 10,
        data: bytes = b"x",
    ) -> str:
        """What a server answers to a client in a namespace; "" when nothing does in time, or it is refused."""
        fd = where.fd if isinstance(where, Sandbox) else where
        return await asyncio.to_thread(
            netns.inside, fd, lambda: _ask(address, port, udp=udp, seconds=seconds, data=data)
        )

    def _wire(self) -> None:
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")  # a new namespace has what the first one has
        run("ip", "link", "set", "lo", "up")
        run(
            "ip",
            "link",
            "add",
            "out0",
            "type",
            "veth",
            "peer",
            "name",
            "in0",
            "netns",
            f"/proc/{os.getpid()}/fd/{self.client}",
        )
        _address("out0", HOST4, HOST6)
        netns.inside(self.client, lambda: _client(HOST4, HOST6))


def _client(gateway4: str, gateway6: str) -> None:
    run("ip", "link", "set", "lo", "up")
    _address("in0", CLIENT4, CLIENT6)
    run("ip", "route", "add", "default", "via", gateway4)
    run("ip", "-6", "route", "add", "default", "via", gateway6)


def _address(interface: str, ipv4: str, ipv6: str) -> None:
    run("ip", "address", "add", f"{ipv4}/24", "dev", interface)
    run("ip", "address", "add", f"{ipv6}/64", "dev", interface, "nodad")
    run("ip", "link", "set", interface, "up")


def _bound(address: str, port: int) -> list[socket.socket]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    tcp, udp = socket.socket(family), socket.socket(family, socket.SOCK_DGRAM)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    tcp.bind((address, port))
    tcp.listen(64)
    udp.bind((address, port))
    return [tcp, udp]


def _ask(address: str, port: int, *, udp: bool, seconds: float, data: bytes) -> str:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as client:
        client.settimeout(seconds)
        try:
            client.connect((address, port))
            return exchanged(client, data, seconds).decode()
        except OSError:
            return ""


def exchanged(client: socket.socket, data: bytes, seconds: float) -> bytes:
    """What is answered on a connected socket. A datagram, which may get lost on a busy machine, is sent each second.

    Raises OSError, TimeoutError when nothing comes.
    """
    end = time.monotonic() + seconds
    while True:
        client.sendall(data)
        left = max(end - time.monotonic(), 0.01)
        client.settimeout(min(left, 1) if client.type == socket.SOCK_DGRAM else left)
        try:
            return client.recv(65535)
        except TimeoutError:
            if time.monotonic() >= end:
                raise


@contextlib.contextmanager
def entered() -> Iterator[Ground]:
    """The calling thread is on a new host inside the block."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        assert _libc.unshare(_CLONE_NEWNET) == 0
        ground = Ground()
        try:
            yield ground
        finally:
            ground.close()
    finally:
        assert _libc.setns(before, _CLONE_NEWNET) == 0
        os.close(before)


async def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether it becomes true in time."""
    end = time.monotonic() + seconds
    while True:
        late = time.monotonic() > end
        if await asyncio.to_thread(condition):
            return True
        if late:
            return False
        await asyncio.sleep(0.02)
