"""Nothing of what a container sends or is sent gets lost because it has only just come."""

import asyncio
import os
import socket
import time

import pytest

from network import links, netns, settled, sysctl
from network.controller import Controller
from network.drivers.driver import Pool
from network.netlink import Rtnetlink
from tests.network.bridged import NAME, join, network, with_options
from tests.network.ground import Ground, run

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

POOLS = (Pool(subnet="10.5.0.0/24"), Pool(subnet="fd00:5::/64"))
ROUNDS = 80


@pytest.fixture
def busy(ground: Ground) -> None:
    """Nobody's processor is idle: or else the kernel is nearly always fast enough."""
    for _ in range(3 * (os.cpu_count() or 1)):
        ground.spawn("sh", "-c", "while :; do :; done")


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("gateway", ["10.5.0.1", "fd00:5::1"])
async def test_the_first_datagram_arrives(controller: Controller, gateway: str) -> None:
    await controller.create_network(with_options(network("web", *POOLS, ipv6=True), **{NAME: "br5"}))
    family = socket.AF_INET6 if ":" in gateway else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as host:
        host.bind((gateway, 9000))
        host.settimeout(5)
        for number in range(ROUNDS):
            fd = (await join(controller, "one"))[0].fd
            netns.inside(fd, lambda number=number: _send(family, gateway, number))  # type: ignore[misc]
            assert await asyncio.to_thread(host.recv, 9) == str(number).encode()
            await controller.release("one")


def _send(family: int, address: str, number: int) -> None:
    """To a neighbour that is asked for once, not again after a second."""
    sysctl.write(f"ipv{6 if family == socket.AF_INET6 else 4}/neigh/eth0/mcast_solicit", "1")
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.sendto(str(number).encode(), (address, 9000))


async def test_what_the_kernel_tells_is_waited_for(ground: Ground) -> None:
    run("ip", "link", "add", "late", "type", "veth")
    waiting = asyncio.get_running_loop().run_in_executor(None, _until_up, 100)
    await asyncio.sleep(0.3)
    assert not waiting.done()
    run("ip", "link", "set", "late", "up")
    assert await waiting < 60


def test_it_is_not_waited_for_longer(ground: Ground) -> None:
    run("ip", "link", "add", "late", "type", "veth")
    assert 0.1 < _until_up(0.1) < 60


def _until_up(seconds: float) -> float:
    before = time.monotonic()
    with Rtnetlink() as rtnl:
        settled.until(lambda: links.find(rtnl, name="late").up, seconds)
    return time.monotonic() - before
