"""Many containers on one bridge, and many ports of one container: sandboxes without processes."""

import asyncio

import pytest

from network.controller import Controller
from tests.network.conftest import Start, tcp
from tests.network.ground import HOST4, Ground, eventually
from tests.network.test_lifecycle import descriptors, kernel

pytestmark = pytest.mark.root

CONTAINERS = 200
PORTS = range(21000, 22000)


async def test_two_hundred_on_a_bridge(start: Start, controller: Controller, ground: Ground) -> None:
    before, fds = kernel(), descriptors()
    names = [f"box{number}" for number in range(CONTAINERS)]
    containers = await asyncio.gather(*(start(name, serve=False) for name in names))
    assert len({each.endpoint.ipv4 for each in containers}) == CONTAINERS
    assert len({each.endpoint.mac for each in containers}) == CONTAINERS
    first, last = containers[0], containers[-1]
    for one, other in ((first, last), (last, first)):
        ground.serve(other.sandbox, other.id)
        answer = await ground.ask(one.sandbox, other.endpoint.ipv4, 80)
        assert answer == f"{other.id} {one.endpoint.ipv4} x"
    ground.close_servers()
    await asyncio.gather(*map(controller.release, names))
    await eventually(lambda: kernel() == before)
    assert kernel() == before
    assert descriptors() == fds


async def test_a_thousand_ports(start: Start, controller: Controller, ground: Ground) -> None:
    before, fds = kernel(), descriptors()
    for _ in range(2):  # what was freed can be had again
        box = await start("box", [tcp(port, container_port=port) for port in PORTS], serve=False)
        assert {each.host_port for each in box.bindings} == set(PORTS)
        some = (PORTS[0], PORTS[len(PORTS) // 2], PORTS[-1])
        for port in some:
            ground.serve(box.sandbox, f"at{port}", port=port)
        for port in some:
            assert (await ground.ask(ground.client, HOST4, port)).startswith(f"at{port} ")
        ground.close_servers()
        await controller.release("box")
        assert await eventually(lambda: kernel() == before)
        assert descriptors() == fds
