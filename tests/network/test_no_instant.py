"""What may not be reached is reached at no sampled instant: while others destroy the rules, and while a daemon ends.

Datagrams of ever new flows are sent all the time; each that arrives where it may not is answered, and the answer seen.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest
import uvloop

from network import netns
from network.ports import PortRequest
from tests.network.ground import CLIENT4, CLIENT6, HOST4, HOST6, Ground, Server, entered, eventually, run
from tests.network.test_reachability import _route_loopback
from tests.network.yard import TABLE, Yard, bridge, listening, opened

pytestmark = pytest.mark.root

PAUSE = 0.001
HARMS = [
    ("nft", "flush", "ruleset"),
    ("nft", "delete", "table", "inet", TABLE),
    ("nft", "flush", "chain", "inet", TABLE, "to_bridge"),
    ("sh", "-c", "iptables -F; iptables -P FORWARD ACCEPT; ip6tables -F; ip6tables -P FORWARD ACCEPT"),
]


class Sampler:
    """Sends datagrams from a namespace until it is closed; `heard` is what answered, `sent` how many there were."""

    def __init__(self, where: int, address: str, port: int) -> None:
        self._to = (address, port)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: netns.inside(where, self._run))
        self.heard: set[str] = set()
        self.sent = 0
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        family = socket.AF_INET6 if ":" in self._to[0] else socket.AF_INET
        waiting: list[socket.socket] = []
        try:
            while not self._stop.is_set():
                waiting.append(socket.socket(family, socket.SOCK_DGRAM))
                waiting[-1].settimeout(0)
                with contextlib.suppress(OSError):
                    waiting[-1].sendto(b"x", self._to)
                    self.sent += 1
                if len(waiting) > 100:
                    self._hear(waiting.pop(0))
                time.sleep(PAUSE)
            time.sleep(0.1)
        finally:
            for each in waiting:
                self._hear(each)

    def _hear(self, one: socket.socket) -> None:
        with one, contextlib.suppress(OSError):
            self.heard.add(f"{self._to[0]}:{self._to[1]} {one.recv(100).decode()}")


@contextlib.contextmanager
def samplers(yard: Yard) -> Iterator[list[Sampler]]:
    """Everything that is forbidden, tried all the time."""
    a, b, i = (yard.containers[name] for name in ("a", "b", "i"))
    client, host = yard.ground.client, yard.ground.host
    started = [
        Sampler(*each)
        for each in (
            (client, a.ipv4, 80),
            (client, a.ipv6, 80),
            (b.fd, a.ipv4, 80),
            (b.fd, a.ipv6, 80),
            (b.fd, i.ipv4, 80),
            (i.fd, a.ipv6, 80),
            (i.fd, CLIENT4, 9000),
            (i.fd, CLIENT6, 9000),
            (i.fd, HOST4, 8080),
            (client, HOST4, 8081),
            (client, HOST6, 8081),
            (b.fd, HOST4, 8081),
            (yard.containers["h"].fd, "127.0.0.1", 8081),
            (yard.containers["h"].fd, "127.0.0.1", 7000),
        )
    ]
    assert host
    try:
        yield started
    finally:
        for each in started:
            each.close()


async def build(yard: Yard) -> None:
    await yard.network(bridge("bra", 1), "a")
    await yard.network(bridge("brb", 2), "b", "h")
    await yard.network(bridge("bri", 3, internal=True), "i")
    for port, host_ip in ((8080, ""), (8081, "127.0.0.1")):
        wanted = PortRequest(
            proto="udp", container_port=80, host_ip=host_ip, host_port_start=port, host_port_end=port
        )
        await yard.publish("a", wanted)
    yard.ground.add(Server("client", netns.inside(yard.ground.client, partial(listening, 9000))))
    yard.ground.serve(yard.ground.host, "host", port=7000, address="127.0.0.1")
    _route_loopback(yard.containers["h"].fd, "10.77.2.1")


async def harmed(seconds: float) -> tuple[set[str], bool]:
    """(what was heard, whether what may be reached is reached afterwards)."""
    with entered() as ground:
        async with opened(ground) as yard:
            await build(yard)
            with samplers(yard) as started:
                end = time.monotonic() + seconds
                turn = 0
                while time.monotonic() < end or min(each.sent for each in started) <= 100:
                    await asyncio.to_thread(run, *HARMS[turn % len(HARMS)], check=False)
                    turn += 1
                    await asyncio.sleep(0.03)
            back = await eventually(lambda: "8081" in run("nft", "list", "table", "inet", TABLE, check=False))
            answered = await reached(ground)
            return set().union(*(each.heard for each in started)), back and answered == f"a {CLIENT4} x"


async def reached(ground: Ground) -> str:
    """Who answers where it may; flows that are new, for one that met rules that were not whole yet goes on so."""
    for _ in range(20):
        if answered := await ground.ask(ground.client, HOST4, 8080, udp=True, seconds=1):
            return answered
    return ""


async def restarted() -> set[str]:
    """A daemon ends and another one comes, again and again."""
    with entered() as ground:
        async with opened(ground) as yard:
            await build(yard)
            with samplers(yard) as started:
                turn = 0
                while turn < 10 or min(each.sent for each in started) <= 20:
                    await yard.restart()
                    await asyncio.sleep(0.02)
                    turn += 1
            return set().union(*(each.heard for each in started))


def test_while_others_destroy_the_rules() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        heard, back = runner.run(harmed(3))
    assert heard == set()
    assert back


def test_while_the_daemon_restarts() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(restarted()) == set()
