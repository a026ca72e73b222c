"""Bridge networks of users: made, used and removed, in a host of their own."""

import asyncio
import contextlib
import socket
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

import errdefs
from network.controller import Controller
from network.drivers.driver import Pool
from network.endpoint import EndpointRequest
from tests.network.bridged import (
    NAME,
    V6,
    host_setting,
    inside,
    join,
    kernel,
    network,
    setting,
    with_options,
)
from tests.network.conftest import INSTANCE
from tests.network.ground import CLIENT4, CLIENT6, HOST4, Ground, eventually, run

pytestmark = pytest.mark.root


T = TypeVar("T")


async def test_a_network_is_made_used_and_removed(controller: Controller, ground: Ground) -> None:
    before = kernel()
    asked = network()
    made = await controller.create_network(asked)
    assert made.pools == (Pool(subnet="172.18.0.0/16", gateway="172.18.0.1"),)
    assert made.bridge == f"br-{asked.id[:12]}"
    assert controller.networks()[-1] == made
    assert f"alias wherry:{INSTANCE}" in run("ip", "link", "show", made.bridge)
    assert "inet 172.18.0.1/16 brd 172.18.255.255" in run("ip", "address", "show", made.bridge)
    one, endpoint = await join(controller, "one")
    two, _ = await join(controller, "two")
    assert (endpoint.ipv4, endpoint.gateway, endpoint.mac, endpoint.interface, endpoint.network_id) == (
        "172.18.0.2",
        "172.18.0.1",
        "02:42:ac:12:00:02",
        "eth0",
        asked.id,
    )
    ground.serve(one, "one")
    ground.serve(ground.client, "outside", port=9000)
    assert await ground.ask(two, endpoint.ipv4, 80) == "one 172.18.0.3 x"
    assert await ground.ask(two, CLIENT4, 9000) == f"outside {HOST4} x"
    ground.close_servers()
    for name in ("one", "two"):
        await controller.release(name)
    for _ in range(2):
        await controller.remove_network(asked.id)
    assert await eventually(lambda: kernel() == before)
    assert [each.name for each in controller.networks()] == ["bridge", "host", "none"]
    with pytest.raises(errdefs.NotFound):
        await join(controller, "three")
    await controller.release("three")


async def test_subnets_of_networks_do_not_overlap(controller: Controller) -> None:
    run("ip", "route", "add", "172.19.0.0/16", "via", CLIENT4)
    made = [await controller.create_network(network(name)) for name in ("a", "b")]
    assert [each.subnets for each in made] == [("172.18.0.0/16",), ("172.20.0.0/16",)]
    before = kernel()
    with pytest.raises(errdefs.Forbidden, match=r"172\.18\.5\.0/24 overlaps .* of network a"):
        await controller.create_network(network("c", Pool(subnet="172.18.5.0/24")))
    assert kernel() == before
    await controller.remove_network(made[0].id)
    assert (await controller.create_network(network("c"))).subnets == ("172.18.0.0/16",)


async def test_many_at_once_get_different_subnets(controller: Controller) -> None:
    made = await asyncio.gather(*(controller.create_network(network(f"n{each}")) for each in range(8)))
    assert len({each.subnets for each in made}) == 8
    await asyncio.gather(*(controller.remove_network(each.id) for each in made))
    assert "br-" not in run("ip", "link")


async def test_ipv6(controller: Controller, ground: Ground) -> None:
    made = await controller.create_network(network("web", V6, ipv6=True))
    assert made.pools[1] == Pool(subnet="fd00:5::/64", gateway="fd00:5::1")
    one, first = await join(controller, "one")
    ground.serve(one, "one", address="::")
    two, second = await join(controller, "two", ipv6="fd00:5::99")
    assert (first.ipv6, first.ipv6_prefix_len, first.ipv6_gateway) == ("fd00:5::2", 64, "fd00:5::1")
    assert second.ipv6 == "fd00:5::99"
    assert "tentative" not in inside(two, "ip", "-6", "address", "show", "scope", "global")
    assert "tentative" not in inside(one, "ip", "-6", "address", "show", "scope", "global")
    assert "tentative" not in run("ip", "-6", "address", "show", "dev", made.bridge, "scope", "global")
    shown = partial(inside, two, "ip", "-6", "address")
    assert await eventually(lambda: "tentative" not in shown(), 0.8), "nobody is asked, which takes a second"
    assert await ground.ask(two, first.ipv6, 80) == f"one {second.ipv6} x"
    assert (await ground.ask(ground.host, first.ipv6, 80)).startswith("one ")
    assert "default via fd00:5::1" in inside(two, "ip", "-6", "route")


async def test_ipv6_leads_outside(controller: Controller, ground: Ground) -> None:
    await controller.create_network(network("web", V6, ipv6=True))
    sandbox, _ = await join(controller, "one")
    ground.serve(ground.client, "outside", port=9000, address="::")
    assert (await ground.ask(sandbox, CLIENT6, 9000)).startswith("outside ")


async def test_nobody_listens_to_routers_that_containers_play(controller: Controller) -> None:
    """CVE-2020-13401, and the host's side of it."""
    dual = await controller.create_network(network("dual", V6, ipv6=True))
    plain = await controller.create_network(network("plain"))
    for made, disabled in ((dual, "0"), (plain, "1")):
        sandbox, _ = await join(controller, made.name, made.name)
        assert host_setting(f"ipv6/conf/{made.bridge}/accept_ra") == "0"
        assert host_setting(f"ipv6/conf/{made.bridge}/disable_ipv6") == disabled
        assert setting(sandbox, "ipv6/conf/eth0/disable_ipv6") == disabled
        if disabled == "0":
            assert setting(sandbox, "ipv6/conf/eth0/accept_ra") == "0"
        else:
            assert "inet6" not in inside(sandbox, "ip", "address", "show", "eth0")


async def test_ipv6_alone(controller: Controller, ground: Ground) -> None:
    made = await controller.create_network(network("web", V6, ipv4=False, ipv6=True))
    assert made.subnets == ("fd00:5::/64",)
    one, first = await join(controller, "one")
    two, _ = await join(controller, "two")
    assert (first.ipv4, first.gateway, first.mac) == ("", "", "02:42:00:00:00:02")
    assert "inet " not in inside(one, "ip", "address", "show", "eth0")
    assert "inet " not in run("ip", "address", "show", made.bridge)
    ground.serve(one, "one", address="::")
    assert (await ground.ask(two, first.ipv6, 80)).startswith("one ")
    with pytest.raises(errdefs.InvalidArgument):
        await join(controller, "three", ipv4="172.18.0.5")


async def test_an_internal_network_leads_nowhere(controller: Controller, ground: Ground) -> None:
    await controller.create_network(network("web", V6, internal=True, ipv6=True))
    one, first = await join(controller, "one")
    two, _ = await join(controller, "two")
    assert (first.gateway, first.ipv6_gateway) == ("", "")
    assert "default" not in inside(one, "ip", "route") + inside(one, "ip", "-6", "route")
    ground.serve(one, "one")
    ground.serve(ground.client, "outside", port=9000)
    assert (await ground.ask(two, first.ipv4, 80)).startswith("one ")
    inside(two, "ip", "route", "add", "default", "via", "172.18.0.1")
    assert await ground.ask(two, CLIENT4, 9000, seconds=0.3) == ""


async def test_a_bridge_of_somebody_else_is_used_and_stays(controller: Controller, ground: Ground) -> None:
    run("ip", "link", "add", "theirs0", "type", "bridge")
    run("ip", "address", "add", "10.77.0.1/24", "dev", "theirs0")
    asked = with_options(network("web", Pool(subnet="10.5.0.0/24")), **{NAME: "theirs0"})
    await controller.create_network(asked)
    shown = run("ip", "address", "show", "theirs0")
    assert "10.77.0.1/24" in shown
    assert "10.5.0.1/24" in shown
    one, endpoint = await join(controller, "one")
    ground.serve(one, "one")
    assert (await ground.ask(ground.host, endpoint.ipv4, 80)).startswith("one ")
    with pytest.raises(errdefs.Forbidden, match="networks have same bridge name"):
        await controller.create_network(with_options(network("other"), **{NAME: "theirs0"}))
    await controller.release("one")
    await controller.remove_network(asked.id)
    assert "10.77.0.1/24" in run("ip", "address", "show", "theirs0")
    await controller.create_network(with_options(network("again"), **{NAME: "theirs0"}))


async def test_a_connect_that_fails_leaves_nothing(controller: Controller) -> None:
    await controller.create_network(network("web", Pool(subnet="10.5.0.0/29"), V6, ipv6=True))
    before = kernel()
    sandbox = await controller.create_sandbox("one")
    request = EndpointRequest(network="web", container_id="one", endpoint_name="one")
    wrong = (
        ({"options": {"com.docker.network.endpoint.ifname": "lo"}}, errdefs.SystemFailure),
        ({"mac": "01:00:5e:00:00:01"}, errdefs.InvalidArgument),
        ({"ipv6": "fd00:5::1"}, errdefs.Forbidden),
        ({"ipv6": "fd00:6::1"}, errdefs.InvalidArgument),
        ({"sysctls": {"net.ipv4.conf.IFNAME.nonsense": "1"}}, errdefs.InvalidArgument),
        ({"sysctls": {"net.ipv4.conf.IFNAME./../../../kernel/hostname": "x"}}, errdefs.InvalidArgument),
    )
    for wishes, kind in wrong:
        for _ in range(7):  # more often than there are addresses
            with pytest.raises(kind):
                await controller.connect(sandbox, replace(request, **wishes))
        assert kernel() == before
    assert "eth0" not in inside(sandbox, "ip", "link")
    assert (await controller.connect(sandbox, request)).ipv4 == "10.5.0.2"


@pytest.mark.parametrize("turns", [0, 1, 3, 6, 20])
async def test_a_cancelled_caller_leaves_nothing(controller: Controller, turns: int) -> None:
    before = kernel()
    gone = await _cancelled(controller.create_network(network("gone")), turns)
    if gone is not None:  # the machine was slow: it was made before
        await controller.remove_network(gone.id)
    assert kernel() == before
    made = await controller.create_network(network())
    before = kernel()
    sandbox = await controller.create_sandbox("one")
    request = EndpointRequest(network="web", container_id="one", endpoint_name="one")
    left = await _cancelled(controller.connect(sandbox, request), turns)
    if left is not None:
        await controller.disconnect("one", left)
    assert kernel() == before
    assert "eth0" not in inside(sandbox, "ip", "link")
    endpoint = await controller.connect(sandbox, request)
    assert (endpoint.ipv4, endpoint.interface) == ("172.18.0.2", "eth0")
    await _cancelled(controller.release("one"), turns)
    await controller.release("one")
    await _cancelled(controller.remove_network(made.id), turns)
    await controller.remove_network(made.id)
    assert await eventually(lambda: not any(name[:3] in ("br-", "vet") for _, name in socket.if_nameindex()))


async def _cancelled(work: Coroutine[Any, Any, T], turns: int) -> T | None:
    """What it returned if it ended before it could be cancelled."""
    task = asyncio.get_running_loop().create_task(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        return await task
    return None
