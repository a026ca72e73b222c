"""Several networks of one container, also while it runs: interfaces, default routes, addresses, settings, ports."""

import asyncio

import pytest
from msgspec.structs import replace

import errdefs
from network.controller import Controller
from network.drivers.driver import Pool
from network.endpoint import Endpoint, EndpointRequest
from network.ports import PortInUse
from network.sandbox import Sandbox
from tests.network.bridged import PREFIX, inside, join, kernel, network, setting, with_options
from tests.network.conftest import tcp
from tests.network.ground import CLIENT4, HOST4, Ground, eventually, run

pytestmark = pytest.mark.root


async def networks(controller: Controller, *names: str) -> None:
    for name in names:
        await controller.create_network(network(name))


async def more(controller: Controller, sandbox: Sandbox, name: str, **wishes: object) -> Endpoint:
    container = sandbox.container_id
    request = EndpointRequest(network=name, container_id=container, endpoint_name=container)
    return await controller.connect(sandbox, replace(request, **wishes))


def defaults(sandbox: Sandbox) -> list[str]:
    lines = run("nsenter", f"--net={sandbox.path}", "ip", "route", "show", "default").splitlines()
    lines += run("nsenter", f"--net={sandbox.path}", "ip", "-6", "route", "show", "default").splitlines()
    return [" ".join(line.split()[:5]) for line in lines]


def interfaces(sandbox: Sandbox) -> list[str]:
    return [line.split("@")[0].split()[0] for line in inside(sandbox, "ip", "-br", "link").splitlines()]


async def test_interfaces_are_numbered_and_numbers_are_given_again(controller: Controller) -> None:
    await networks(controller, "a", "b", "c")
    sandbox, first = await join(controller, "one", "b")
    second = await more(controller, sandbox, "a")
    third = await more(controller, sandbox, "c")
    assert [each.interface for each in (first, second, third)] == ["eth0", "eth1", "eth2"]
    assert interfaces(sandbox) == ["lo", "eth0", "eth1", "eth2"]
    await controller.disconnect("one", second)
    assert interfaces(sandbox) == ["lo", "eth0", "eth2"], "at once"
    assert (await more(controller, sandbox, "a")).interface == "eth1"
    await controller.create_network(with_options(network("d"), **{PREFIX: "net"}))
    assert (await more(controller, sandbox, "d")).interface == "net0"


async def test_the_default_route_is_the_first_network_by_name(controller: Controller, ground: Ground) -> None:
    await networks(controller, "m", "a", "z")
    await controller.create_network(network("0", internal=True))
    ground.serve(ground.client, "outside", port=9000)
    sandbox, m = await join(controller, "one", "m")
    assert defaults(sandbox) == [f"default via {m.gateway} dev eth0"]
    await more(controller, sandbox, "0")
    await more(controller, sandbox, "z")
    assert defaults(sandbox) == [f"default via {m.gateway} dev eth0"], "neither an internal nor a later one"
    a = await more(controller, sandbox, "a")
    assert defaults(sandbox) == [f"default via {a.gateway} dev {a.interface}"]
    assert controller.gateways("one").ipv4 == a
    assert await ground.ask(sandbox, CLIENT4, 9000) == f"outside {HOST4} x"
    await controller.disconnect("one", a)
    assert defaults(sandbox) == [f"default via {m.gateway} dev eth0"]
    await controller.disconnect("one", m)
    assert defaults(sandbox) == ["default via 172.20.0.1 dev eth2"]
    assert await ground.ask(sandbox, CLIENT4, 9000) == f"outside {HOST4} x"


async def test_the_highest_priority_has_the_default_route(controller: Controller) -> None:
    await networks(controller, "a", "b", "c")
    sandbox, a = await join(controller, "one", "a")
    b = await more(controller, sandbox, "b", gateway_priority=5)
    assert defaults(sandbox) == [f"default via {b.gateway} dev eth1"]
    await more(controller, sandbox, "c", gateway_priority=-5)
    assert defaults(sandbox) == [f"default via {b.gateway} dev eth1"]
    await controller.disconnect("one", b)
    assert defaults(sandbox) == [f"default via {a.gateway} dev eth0"]


async def test_ipv4_and_ipv6_may_lead_out_by_different_networks(controller: Controller) -> None:
    await networks(controller, "a")
    await controller.create_network(network("b", Pool(subnet="fd00:b::/64"), ipv4=False, ipv6=True))
    await controller.create_network(network("c", Pool(subnet="fd00:c::/64"), ipv6=True))
    sandbox, a = await join(controller, "one", "a")
    b = await more(controller, sandbox, "b")
    assert controller.gateways("one") == (a, b)
    assert defaults(sandbox) == [f"default via {a.gateway} dev eth0", "default via fd00:b::1 dev eth1"]
    c = await more(controller, sandbox, "c")
    assert controller.gateways("one") == (c, c), "one that leads out by both is preferred"
    assert defaults(sandbox) == [f"default via {c.gateway} dev eth2", "default via fd00:c::1 dev eth2"]
    await controller.disconnect("one", c)
    assert defaults(sandbox) == [f"default via {a.gateway} dev eth0", "default via fd00:b::1 dev eth1"]


async def test_addresses_that_are_asked_for(controller: Controller) -> None:
    await networks(controller, "plain")
    await controller.create_network(network("web", Pool(subnet="fd00:5::/64"), ipv6=True))
    sandbox, _ = await join(controller, "one", "plain")
    endpoint = await more(
        controller,
        sandbox,
        "web",
        ipv4="172.19.7.7",
        ipv6="fd00:5::7",
        mac="02:00:00:00:00:07",
        link_local=("169.254.8.8", "fe80::8"),
    )
    assert (endpoint.ipv4, endpoint.ipv6, endpoint.mac) == ("172.19.7.7", "fd00:5::7", "02:00:00:00:00:07")
    assert endpoint.link_local == ("169.254.8.8", "fe80::8")
    shown = inside(sandbox, "ip", "address", "show", "eth1")
    for text in ("02:00:00:00:00:07", "172.19.7.7/16", "fd00:5::7/64", "169.254.8.8/16", "fe80::8/64"):
        assert text in shown
    await controller.disconnect("one", endpoint)
    again = await more(controller, sandbox, "web", ipv4="172.19.7.7", ipv6="fd00:5::7")
    assert again.ipv6 == "fd00:5::7"


async def test_sysctls_of_an_endpoint(controller: Controller) -> None:
    await controller.create_network(network("web", Pool(subnet="fd00:5::/64"), ipv6=True))
    await networks(controller, "back")
    sandbox, _ = await join(controller, "one")
    await more(controller, sandbox, "back", sysctls={"net.ipv4.conf.IFNAME.log_martians": "1"})
    assert setting(sandbox, "ipv4/conf/eth1/log_martians") == "1"
    assert setting(sandbox, "ipv4/conf/eth0/log_martians") == "0"
    _, dotted = await join(
        controller,
        "two",
        options={"com.docker.network.endpoint.ifname": "et.h"},
        sysctls={"net.ipv6.conf.IFNAME.disable_ipv6": "1", "net.ipv4.neigh.IFNAME.retrans_time_ms": "2500"},
    )
    assert (dotted.interface, dotted.ipv6, dotted.ipv6_gateway) == ("et.h", "", "")
    _, third = await join(controller, "three", ipv6="fd00:5::3")
    assert third.ipv6 == "fd00:5::3", "the address that was not taken is free"


async def test_a_network_reaches_its_own_and_no_other(controller: Controller, ground: Ground) -> None:
    await networks(controller, "front", "back")
    web, front = await join(controller, "web", "front")
    database, data = await join(controller, "database", "back")
    ground.serve(database, "database")
    assert await ground.ask(web, data.ipv4, 80, seconds=0.3) == ""
    mine = await more(controller, web, "back")
    assert await ground.ask(web, data.ipv4, 80) == f"database {mine.ipv4} x"
    await controller.disconnect("web", mine)
    assert await ground.ask(web, data.ipv4, 80, seconds=0.3) == ""
    assert front.interface == "eth0"


async def test_a_port_that_another_got_meanwhile_is_not_told_of(controller: Controller) -> None:
    await networks(controller, "a", "m", "z")
    one, first = await join(controller, "one", "a")
    given = await controller.publish("one", [tcp(8080)])
    assert controller.bindings("one") == given != []
    await join(controller, "two", "m")
    await controller.disconnect("one", first)
    await controller.publish("two", [tcp(8080)])
    assert controller.bindings("one") == []
    second = await more(controller, one, "m")
    with pytest.raises(PortInUse, match="port is already allocated"):
        await controller.republish("one", [tcp(8080)])
    await more(controller, one, "z")
    assert await controller.republish("one", [tcp(8080)]) == []
    await controller.release("two")
    await controller.disconnect("one", second)
    assert await controller.republish("one", [tcp(8080)]) == given


async def test_ports_follow_the_network_that_leads_out(controller: Controller, ground: Ground) -> None:
    await networks(controller, "m", "a")
    await controller.create_network(network("0", internal=True))
    sandbox, hidden = await join(controller, "one", "0")
    ground.serve(sandbox, "one")
    assert await controller.publish("one", [tcp(8080)]) == []
    m = await more(controller, sandbox, "m")
    given = await controller.republish("one", [tcp(8080)])
    assert {each.host_port for each in given} == {8080}
    assert await ground.ask(ground.client, HOST4, 8080) == f"one {CLIENT4} x"
    await more(controller, sandbox, "a")
    assert await controller.republish("one", [tcp(8080)]) == given
    assert await ground.ask(ground.client, HOST4, 8080) == f"one {CLIENT4} x"
    await controller.disconnect("one", m)
    assert await controller.republish("one", [tcp(8080)]) == given
    assert await ground.ask(ground.client, HOST4, 8080) == f"one {CLIENT4} x"
    await controller.disconnect("one", hidden)
    assert await controller.republish("one", [tcp(8080)]) == given


async def test_disconnecting_twice_or_something_half_gone_is_no_failure(controller: Controller) -> None:
    await networks(controller, "a", "b")
    sandbox, a = await join(controller, "one", "a")
    b = await more(controller, sandbox, "b")
    inside(sandbox, "ip", "link", "del", "eth1")
    await controller.disconnect("one", b)
    await controller.disconnect("one", b)
    await controller.disconnect("other", b)
    assert controller.gateways("one").ipv4 == a
    assert (await more(controller, sandbox, "b")).ipv4 == b.ipv4
    with pytest.raises(errdefs.NotFound):
        controller.gateways("other")


async def test_a_cancelled_disconnect_is_done_all_the_same(controller: Controller) -> None:
    await networks(controller, "a", "b")
    sandbox, _ = await join(controller, "one", "a")
    before = kernel()
    endpoint = await more(controller, sandbox, "b")
    task = asyncio.get_running_loop().create_task(controller.disconnect("one", endpoint))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert kernel() == before
    assert interfaces(sandbox) == ["lo", "eth0"]


async def test_all_networks_of_a_container_are_released(controller: Controller, ground: Ground) -> None:
    await networks(controller, "a", "b", "c")
    before = kernel()
    for _ in range(3):
        sandbox, _ = await join(controller, "one", "a")
        for name in ("b", "c"):
            assert (await more(controller, sandbox, name)).ipv4.endswith(".0.2")
        await controller.publish("one", [tcp(8080)])
        ground.close_servers()
        await controller.release("one")
        assert await eventually(lambda: kernel() == before)
