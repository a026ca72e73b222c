"""Networks of every mode with containers on them, made by `ip`; the rules, the publisher and the proxies are ours.

Containers of internal networks have default routes too, as a hostile one would give itself.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network

from network import netns, sysctl
from network.endpoint import Endpoint
from network.forwarding import Forwarding
from network.nftables.bridge import Bridge
from network.nftables.ruleset import Ruleset, table_name
from network.ports import PortRequest, Ports
from network.publisher import Publication, Publisher
from network.routes import Gateways
from network.rules import Rules
from network.worker import Worker
from tests.network.conftest import INSTANCE
from tests.network.ground import HOST4, HOST6, Ground, Server, exchanged, run

TABLE = table_name(INSTANCE)
MARK = 0x02000000


@dataclass(frozen=True)
class Question:
    """From where to which address. What is expected to be answered is waited for longer."""

    source: str
    address: str
    port: int
    udp: bool
    expected: bool


@dataclass(frozen=True)
class Container:
    """`ipv6` "" on a network without it. Servers answer on 80 and 81 with the container's name."""

    name: str
    bridge: Bridge
    fd: int
    ipv4: str
    ipv6: str

    @property
    def gateways(self) -> Gateways:
        endpoint = Endpoint(
            id=self.name * 8,
            name=self.name,
            container_id=self.name,
            sandbox_id=self.name,
            network_id=self.bridge.network_id,
            network=self.bridge.name,
            ipv4=self.ipv4,
            ipv6=self.ipv6,
        )
        return Gateways(endpoint, endpoint if self.ipv6 else None)


class Yard:
    """One host, its rules, and the containers by name."""

    def __init__(self, ground: Ground, worker: Worker) -> None:
        self.ground = ground
        self.worker = worker
        self.rules = _rules(worker)
        self.bridges: list[Bridge] = []
        self.publisher = Publisher(worker, self.rules, Ports(range(40000, 50000)))
        self.publications: list[Publication] = []
        self.containers: dict[str, Container] = {}
        self.threads = ThreadPoolExecutor(64)

    async def network(self, bridge: Bridge, *names: str, foreign: bool = False) -> None:
        """A bridge with its addresses and rules, and containers on it; a `foreign` one is unknown to the rules."""
        for subnet in bridge.subnets:
            netns.inside(self.ground.client, partial(_route, str(subnet)))
        run("ip", "link", "add", bridge.name, "type", "bridge")
        for subnet in bridge.subnets:
            flags = ["nodad"] if subnet.version == 6 else []
            run("ip", "address", "add", f"{subnet[1]}/{subnet.prefixlen}", "dev", bridge.name, *flags)
        sysctl.write(f"ipv4/conf/{bridge.name}/route_localnet", "1")
        sysctl.write(f"ipv6/conf/{bridge.name}/accept_dad", "0")  # it asks for neighbours once that has ended
        run("ip", "link", "set", bridge.name, "up")
        if not foreign:
            await self.worker.run(lambda: self.rules.add_bridge(bridge))
            self.bridges.append(bridge)
        for number, name in enumerate(names, 2):
            self._container(bridge, name, number)

    async def publish(self, name: str, *wanted: PortRequest) -> Publication:
        """Publish ports of a container."""
        return await self.publisher.publish(self.containers[name].gateways, wanted, self.publications.append)

    async def restart(self) -> None:
        """What a daemon does to the rules when it ends, and what the next one does."""
        known = list(self.bridges)
        entries = [each for publication in self.publications for each in publication.entries]
        await self.rules.close()
        await self.worker.close()
        self.worker = await Worker.open()
        self.rules = _rules(self.worker)
        await self.rules.open()
        for bridge in known:
            await self.worker.run(partial(self.rules.add_bridge, bridge))
        await self.worker.run(partial(self.rules.expect, entries))
        await self.rules.settle()

    def where(self, name: str) -> int:
        """The namespace of a container, `host` or `client`."""
        if name in ("host", "client"):
            return self.ground.host if name == "host" else self.ground.client
        return self.containers[name].fd

    async def ask_all(self, questions: Sequence[Question]) -> list[str]:
        """The answers, all asked at the same time: `name address-that-it-sees`; "" for nothing."""
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            *(loop.run_in_executor(self.threads, ask, self.where(each.source), each) for each in questions)
        )

    def close(self) -> None:
        """Let go of what is not the ground's."""
        self.threads.shutdown()
        for publication in self.publications:
            publication.unserve()
            for held in publication.held:
                if held.socket is not None:
                    held.socket.close()
        for container in self.containers.values():
            os.close(container.fd)

    def _container(self, bridge: Bridge, name: str, number: int) -> None:
        fd = netns.create(lambda: None)
        target = f"/proc/{os.getpid()}/fd/{fd}"
        run(
            *("ip", "link", "add", f"veth-{name}", "master", bridge.name, "up", "type", "veth"),
            *("peer", "name", "eth0", "netns", target),
        )
        run("bridge", "link", "set", "dev", f"veth-{name}", "hairpin", "on")
        netns.inside(fd, lambda: _configure(bridge, number))
        addresses = {subnet.version: str(subnet[number]) for subnet in bridge.subnets}
        container = Container(name, bridge, fd, addresses.get(4, ""), addresses.get(6, ""))
        self.containers[name] = container
        self.ground.add(Server(name, netns.inside(fd, lambda: [*listening(80), *listening(81)])))


@contextlib.asynccontextmanager
async def opened(ground: Ground) -> AsyncIterator[Yard]:
    """A yard with rules that are applied and watched."""
    worker = await Worker.open()
    yard = Yard(ground, worker)
    await worker.run(lambda: Forwarding(worker.nft, MARK, TABLE).enable())
    await yard.rules.open()
    await yard.rules.settle()
    try:
        yield yard
    finally:
        await yard.rules.dismantle()
        await yard.rules.close()
        yard.close()
        await yard.worker.close()


def _rules(worker: Worker) -> Rules:
    return Rules(worker, Ruleset(TABLE, MARK), Forwarding(worker.nft, MARK, TABLE))


def bridge(name: str, number: int, *, ipv6: bool = True, **options: object) -> Bridge:
    """A bridge with subnets of its number."""
    subnets = [ip_network(f"10.77.{number}.0/24"), ip_network(f"fd77:{number}::/64")]
    return Bridge(
        name=name,
        network_id=name,
        subnets=tuple(subnets[: 1 + ipv6]),
        **options,  # type: ignore[arg-type]
    )


def listening(port: int) -> list[socket.socket]:
    """TCP and UDP sockets for both families."""
    sockets = []
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            one = socket.socket(family, kind)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((address, port))
            if kind == socket.SOCK_STREAM:
                one.listen(64)
            sockets.append(one)
    return sockets


def ask(where: int, question: Question) -> str:
    """What answers in a namespace."""
    return netns.inside(where, partial(_ask, question))


def _ask(question: Question) -> str:
    family = socket.AF_INET6 if ":" in question.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if question.udp else socket.SOCK_STREAM) as client:
        seconds = 10 if question.expected else 0.5
        client.settimeout(seconds)
        try:
            client.connect((question.address, question.port))
            return exchanged(client, b"x", seconds).decode().removesuffix(" x")
        except OSError:
            return ""


def _configure(bridge: Bridge, number: int) -> None:
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "set", "eth0", "up")
    for subnet in bridge.subnets:
        flags = ["nodad"] if subnet.version == 6 else []
        run("ip", "address", "add", f"{subnet[number]}/{subnet.prefixlen}", "dev", "eth0", *flags)
        run("ip", f"-{subnet.version}", "route", "add", "default", "via", str(subnet[1]))


def _route(subnet: str) -> None:
    """The client routes to containers by the host, as anybody on the same wire can."""
    if ":" in subnet:
        run("ip", "-6", "route", "add", subnet, "via", HOST6)
    else:
        run("ip", "route", "add", subnet, "via", HOST4)
