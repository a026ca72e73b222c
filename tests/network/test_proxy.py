"""What the kernel's DNAT cannot carry: [::1] and IPv6 to a container with IPv4, on the daemon's loop."""

import asyncio
import contextlib
import hashlib
import os
import socket
from datetime import UTC, datetime
from functools import partial

import pytest
import uvloop
from msgspec.structs import replace

from network import netns
from network.controller import Controller, NetworkConfig
from network.drivers.driver import NetworkInfo, Pool
from network.endpoint import EndpointRequest, new_id
from network.udpproxy import UdpProxy
from tests.network.conftest import Start, starter, tcp, udp
from tests.network.ground import HOST6, Ground, entered, eventually, exchanged, run

pytestmark = pytest.mark.root


class Sink:
    """A TCP server in a sandbox: takes all until the half-close, then answers with the digest and closes."""

    def __init__(self, fd: int) -> None:
        self.listener = netns.inside(fd, lambda: socket.create_server(("0.0.0.0", 81)))

    def serve_one(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            digest = hashlib.sha256()
            while data := connection.recv(1 << 16):
                digest.update(data)
            connection.sendall(digest.hexdigest().encode())


async def test_a_half_close_is_passed_on_and_no_byte_is_lost(start: Start) -> None:
    web = await start("web", [tcp(8081, container_port=81)], serve=False)
    sink = Sink(web.sandbox.fd)
    data = os.urandom(1 << 20) * 24

    def send() -> str:
        with socket.create_connection(("::1", 8081), 10) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            return client.makefile().read()

    served = asyncio.to_thread(sink.serve_one)
    _, digest = await asyncio.gather(served, asyncio.to_thread(send))
    sink.listener.close()
    assert digest == hashlib.sha256(data).hexdigest()


async def test_a_reader_that_does_not_read_stops_its_writer_alone(start: Start, ground: Ground) -> None:
    await start("web", [tcp(8080)])
    web = await start("big", [tcp(8081, container_port=81)], serve=False)
    listener = netns.inside(web.sandbox.fd, lambda: socket.create_server(("0.0.0.0", 81)))
    with listener, socket.create_connection(("::1", 8081), 5) as client:
        client.settimeout(0)
        sent = 0
        for _ in range(400):
            try:
                sent += client.send(b"x" * 65536)
            except BlockingIOError:
                await asyncio.sleep(0.005)
        assert 0 < sent < 400 * 65536
        assert (await ground.ask(ground.host, "::1", 8080)).startswith("web ")


async def test_nobody_listens_in_the_container(start: Start, ground: Ground) -> None:
    await start("web", [tcp(8080), udp(8080)], serve=False)
    for datagrams in (False, True):
        assert await ground.ask(ground.host, "::1", 8080, udp=datagrams, seconds=1) == ""


def test_a_client_that_came_before_the_service_is_answered_later() -> None:
    """On the daemon's own loop, which drops a reader when its socket has an error."""
    with entered(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_a_client_that_came_before_the_service())


async def _a_client_that_came_before_the_service() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as holder,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client,
    ):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
            closed.bind(("127.0.0.1", 0))
            target = closed.getsockname()
        holder.bind(("::1", 0))
        holder.setblocking(False)
        client.connect(holder.getsockname())
        for each in (client, late):
            each.settimeout(10)
        with contextlib.closing(UdpProxy(holder, target, lambda _: False)) as proxy:
            proxy.start()
            client.send(b"nobody")
            assert await eventually(lambda: _refused() == 1)
            await asyncio.sleep(0.1)  # and the proxy has seen it
            late.bind(target)
            client.send(b"question")
            data, flow = await asyncio.to_thread(late.recvfrom, 99)
            late.sendto(b"answer to " + data, flow)
            assert await asyncio.to_thread(client.recv, 99) == b"answer to question"


def _refused() -> int:
    """How many datagrams came to this host by IPv4 for ports that nobody has."""
    lines = run("cat", "/proc/net/snmp").splitlines()
    _, counts = (line.split() for line in lines if line.startswith("Udp:"))
    return int(counts[2])  # NoPorts


async def test_release_ends_connections_and_leaves_no_descriptor(
    start: Start, controller: Controller, ground: Ground
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    web = await start("web", [tcp(8081, container_port=81), udp(8080)])
    listener = netns.inside(web.sandbox.fd, lambda: socket.create_server(("0.0.0.0", 81)))
    with listener, socket.create_connection(("::1", 8081), 5) as client:
        client.settimeout(3)
        client.sendall(b"x")
        accepted, _ = await asyncio.to_thread(listener.accept)
        with accepted:
            assert await ground.ask(ground.host, "::1", 8080, udp=True)
            await controller.release("web")
            assert await asyncio.to_thread(_ended, client)
    ground.close_servers()
    assert await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_closed_connections_leave_no_descriptor(start: Start, ground: Ground) -> None:
    await start("web", [tcp(8080)])
    before = len(os.listdir("/proc/self/fd"))
    answers = await asyncio.gather(*(ground.ask(ground.host, "::1", 8080) for _ in range(50)))
    assert all(each.startswith("web ") for each in answers)
    assert await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_datagrams_are_answered_from_the_address_that_was_spoken_to(
    start: Start, ground: Ground
) -> None:
    await start("web", [udp(8080)])
    second = "2001:db8::77"
    run("ip", "address", "add", f"{second}/64", "dev", "out0", "nodad")
    for address in (HOST6, second):
        assert (await ground.ask(ground.client, address, 8080, udp=True)).startswith("web ")


async def test_large_and_empty_datagrams(start: Start, ground: Ground) -> None:
    await start("web", [udp(8080)])
    data = b"y" * 1400
    assert (await ground.ask(ground.client, HOST6, 8080, udp=True, data=data)).endswith(data.decode())
    assert (await ground.ask(ground.client, HOST6, 8080, udp=True, data=b"")).startswith("web ")


def _ended(client: socket.socket) -> bool:
    try:
        return client.recv(10) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("datagrams", [False, True], ids=["tcp", "udp"])
async def test_nobody_is_carried_from_an_internal_network(
    ground: Ground, config: NetworkConfig, datagrams: bool
) -> None:
    """By the gateway's address, which is the host's, and by the bridge's link-local one."""
    controller = await Controller.open(replace(config, obey_firewall=True))
    try:
        await starter(ground, controller)("web", [tcp(8080), udp(8080)])
        pools = (Pool(subnet="10.5.0.0/24"), Pool(subnet="fd00:5::/64"))
        for name, internal in (("inner", True), ("outer", False)):
            asked = NetworkInfo(
                name=name, id=new_id(), driver="bridge", created=datetime.now(UTC), pools=pools,
                enable_ipv6=True, internal=internal, options={"com.docker.network.bridge.name": "br5"},
            )  # fmt: skip
            await controller.create_network(asked)
            sandbox = await controller.create_sandbox(name)
            await controller.connect(
                sandbox, EndpointRequest(network=name, container_id=name, endpoint_name=name)
            )
            local = netns.inside(ground.host, partial(link_local, "br5"))
            for address in ("10.5.0.1", "fd00:5::1", f"{local}%eth0"):
                kind = socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM
                ask = partial(asked_of, address, kind, 0.3 if internal else 10)
                answer = await asyncio.to_thread(netns.inside, sandbox.fd, ask)
                assert answer.startswith("web ") is not internal, address
            await controller.release(name)
            await controller.remove_network(asked.id)
    finally:
        await controller.dismantle()
        await controller.close()


def asked_of(address: str, kind: socket.SocketKind, seconds: float) -> str:
    """What port 8080 of an address, with its scope, answers; "" for nothing."""
    ((family, _, _, _, place), *_) = socket.getaddrinfo(address, 8080, type=kind)
    with socket.socket(family, kind) as client, contextlib.suppress(OSError):
        client.settimeout(seconds)
        client.connect(place)
        return exchanged(client, b"x", seconds).decode()
    return ""


def link_local(interface: str) -> str:
    """The address that the kernel gave it."""
    words = run("ip", "-6", "-o", "address", "show", "dev", interface, "scope", "link").split()
    return words[3].partition("/")[0]
