"""Networks under an interface of the host, whose containers are on its wire with MAC addresses of their own."""

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

import errdefs
from network import netns
from network.controller import Controller, NetworkConfig
from network.drivers.driver import NetworkInfo, Pool
from network.endpoint import Endpoint, EndpointRequest
from network.sandbox import Sandbox
from tests.network.ground import CLIENT4, CLIENT6, HOST4, Ground, run

pytestmark = pytest.mark.root

POOLS = (
    Pool(subnet="192.0.2.0/24", ip_range="192.0.2.128/25", gateway=CLIENT4),
    Pool(subnet="2001:db8::/64", ip_range="2001:db8::1:0/112", gateway=CLIENT6),
)
Attach = Callable[..., Awaitable[tuple[Sandbox, Endpoint]]]


def asked(
    name: str = "lan",
    *,
    internal: bool = False,
    pools: tuple[Pool, ...] = POOLS,
    driver: str = "macvlan",
    **options: str,
) -> NetworkInfo:
    return NetworkInfo(
        name=name,
        id=f"{name:0<64}".replace("-", "0"),
        driver=driver,
        created=datetime.now(UTC),
        pools=pools,
        internal=internal,
        enable_ipv6=True,
        options=options,
    )


@pytest.fixture
def attach(ground: Ground, controller: Controller) -> Attach:
    """Connects a new sandbox to the network `lan`, with a server on port 80."""

    async def attach(name: str, network: str = "lan", **wishes: str) -> tuple[Sandbox, Endpoint]:
        sandbox = await controller.create_sandbox(name)
        request = EndpointRequest(network=network, container_id=name, endpoint_name=name, **wishes)  # type: ignore[arg-type]
        endpoint = await controller.connect(sandbox, request)
        ground.serve(sandbox, name)
        ground.serve(sandbox, name, address=endpoint.ipv6, port=81)
        return sandbox, endpoint

    return attach


@pytest.fixture(autouse=True)
async def outside(ground: Ground) -> AsyncIterator[None]:
    """A second host is on the wire of out0, with a server."""
    ground.serve(ground.client, "outside")
    ground.serve(ground.client, "outside", address=CLIENT6, port=81)
    yield
    ground.close_servers()


def routes(sandbox: Sandbox) -> list[str]:
    """Its default routes."""
    text = netns.inside(sandbox.fd, lambda: run("ip", "route") + run("ip", "-6", "route"))
    return [
        line.split(" metric")[0].split(" proto")[0].strip()
        for line in text.splitlines()
        if line.startswith("default")
    ]


def interfaces(where: int | Sandbox) -> list[str]:
    fd = where.fd if isinstance(where, Sandbox) else where
    return [name for _, name in netns.inside(fd, socket.if_nameindex)]


async def test_containers_and_a_second_host_reach_each_other(
    ground: Ground, controller: Controller, attach: Attach
) -> None:
    await controller.create_network(asked(parent="out0"))
    (first, one), (second, two) = await attach("first"), await attach("second")
    assert (one.ipv4, one.ipv6, one.mac) == ("192.0.2.128", "2001:db8::1:0", "02:42:c0:00:02:80")
    assert (one.gateway, one.ipv6_gateway) == (CLIENT4, CLIENT6)
    assert (two.ipv4, two.interface) == ("192.0.2.129", "eth0")
    assert await ground.ask(first, two.ipv4, 80) == f"second {one.ipv4} x"
    assert await ground.ask(second, one.ipv6, 81) == f"first {two.ipv6} x"
    assert await ground.ask(first, CLIENT4, 80, udp=True) == f"outside {one.ipv4} x"
    assert await ground.ask(second, CLIENT6, 81) == f"outside {two.ipv6} x"
    assert await ground.ask(ground.client, one.ipv4, 80) == f"first {CLIENT4} x"
    assert await ground.ask(first, HOST4, 80, seconds=0.3) == ""
    assert routes(first) == [f"default via {CLIENT4} dev eth0", f"default via {CLIENT6} dev eth0"]


async def test_private_endpoints_reach_the_wire_alone(
    ground: Ground, controller: Controller, attach: Attach
) -> None:
    await controller.create_network(asked(parent="out0", macvlan_mode="private"))
    (first, _), (_, two) = await attach("first"), await attach("second")
    assert await ground.ask(first, two.ipv4, 80, seconds=0.3) == ""
    assert await ground.ask(first, CLIENT4, 80) != ""


async def test_an_internal_network_has_no_way_out(
    controller: Controller, attach: Attach, ground: Ground
) -> None:
    await controller.create_network(asked(internal=True, parent="out0"))
    (first, one), (_, two) = await attach("first"), await attach("second")
    assert (one.gateway, one.ipv6_gateway, routes(first)) == ("", "", [])
    assert await ground.ask(first, two.ipv4, 80) != ""


async def test_passthru_is_for_one_endpoint_alone(
    ground: Ground, controller: Controller, attach: Attach
) -> None:
    await controller.create_network(asked(parent="out0", macvlan_mode="passthru"))
    other = asked("other", parent="out0", pools=(Pool(subnet="10.9.0.0/24"),))
    with pytest.raises(
        errdefs.Forbidden, match=r"lan .* is already using parent interface out0 in mode passthru"
    ):
        await controller.create_network(other)
    _, one = await attach("first")
    assert one.mac == json.loads(run("ip", "-j", "link", "show", "out0"))[0]["address"]
    assert await ground.ask(ground.client, one.ipv4, 80) != ""
    sandbox = await controller.create_sandbox("second")
    with pytest.raises(errdefs.SystemFailure, match="failed to create the macvlan port"):
        await controller.connect(
            sandbox, EndpointRequest(network="lan", container_id="second", endpoint_name="s")
        )
    assert interfaces(sandbox) == ["lo"]
    await controller.release("first")
    _, again = await attach("third")
    assert again.ipv4 == one.ipv4


async def test_passthru_beside_another_network(controller: Controller) -> None:
    await controller.create_network(asked(parent="out0"))
    wanted = asked("other", parent="out0", macvlan_mode="passthru", pools=(Pool(subnet="10.9.0.0/24"),))
    with pytest.raises(errdefs.Forbidden, match="cannot use mode passthru, macvlan network lan"):
        await controller.create_network(wanted)


async def test_connect_and_disconnect_while_the_container_runs(
    ground: Ground, controller: Controller, attach: Attach
) -> None:
    await controller.create_network(asked(parent="out0"))
    sandbox = await controller.create_sandbox("c")
    await controller.connect(sandbox, EndpointRequest(network="bridge", container_id="c", endpoint_name="c"))
    request = EndpointRequest(network="lan", container_id="c", endpoint_name="c", gateway_priority=1)
    hot = await controller.connect(sandbox, request)
    assert (hot.interface, routes(sandbox)[0]) == ("eth1", f"default via {CLIENT4} dev eth1")
    assert await ground.ask(sandbox, CLIENT4, 80) == f"outside {hot.ipv4} x"
    await controller.disconnect("c", hot)
    await controller.disconnect("c", hot)
    assert interfaces(sandbox) == ["lo", "eth0"]
    assert routes(sandbox) == ["default via 172.17.0.1 dev eth0"]
    _, next_one = await attach("next")
    assert next_one.ipv4 == hot.ipv4


async def test_wishes(controller: Controller, attach: Attach) -> None:
    await controller.create_network(asked(parent="out0"))
    sandbox, one = await attach("first", ipv4="192.0.2.77", ipv6="2001:db8::77", mac="02:11:22:33:44:55")
    assert (one.ipv4, one.ipv6, one.mac) == ("192.0.2.77", "2001:db8::77", "02:11:22:33:44:55")
    shown = json.loads(netns.inside(sandbox.fd, lambda: run("ip", "-j", "link", "show", "eth0")))
    assert shown[0]["address"] == one.mac
    for wish, error, text in (
        ({"ipv4": "192.0.2.77"}, errdefs.Forbidden, "Address already in use"),
        (
            {"ipv4": "10.0.0.1"},
            errdefs.InvalidArgument,
            "It does not belong to any of this network's subnets",
        ),
        ({"mac": "x"}, errdefs.InvalidArgument, "invalid MAC address: x"),
    ):
        with pytest.raises(error, match=text):
            await attach("second", **wish)
        await controller.release("second")
    assert (await attach("third"))[1].ipv4 == "192.0.2.128"


async def test_what_is_in_the_way_stays_and_nothing_else_is_left(
    controller: Controller, attach: Attach
) -> None:
    await controller.create_network(asked(parent="out0"))
    sandbox = await controller.create_sandbox("c")
    netns.inside(sandbox.fd, lambda: run("ip", "link", "add", "name", "eth0", "type", "bridge"))
    with pytest.raises(errdefs.SystemFailure, match="failed to create the macvlan port: File exists"):
        await controller.connect(sandbox, EndpointRequest(network="lan", container_id="c", endpoint_name="c"))
    assert interfaces(sandbox) == ["lo", "eth0"]
    assert (await attach("next"))[1].ipv4 == "192.0.2.128"


async def test_the_next_daemon_takes_over(ground: Ground, config: NetworkConfig) -> None:
    before = await Controller.open(config)
    made = await before.create_network(asked(parent="out0"))
    sandbox = await before.create_sandbox("c")
    endpoint = await before.connect(
        sandbox, EndpointRequest(network="lan", container_id="c", endpoint_name="c")
    )
    server = ground.spawn_server(sandbox.fd, "c")
    sandbox.follow(server.pid)
    await before.close()
    assert await ground.ask(ground.client, endpoint.ipv4, 80) == "c x"

    after = await Controller.open(config)
    await after.restore_network(made)
    assert await after.adopt("c", server.pid, [endpoint], []) == []
    await after.reconcile({"c"})
    assert await ground.ask(ground.client, endpoint.ipv4, 80) == "c x"
    other = await after.create_sandbox("d")
    request = EndpointRequest(network="lan", container_id="d", endpoint_name="d")
    assert (await after.connect(other, request)).ipv4 == "192.0.2.129"
    await after.disconnect("c", endpoint)
    assert interfaces(after.sandbox("c")) == ["lo"]
    await after.dismantle()
    await after.close()


async def test_an_interface_that_is_gone_is_told_of(ground: Ground, config: NetworkConfig) -> None:
    before = await Controller.open(config)
    made = await before.create_network(asked(parent="out0"))
    sandbox = await before.create_sandbox("c")
    endpoint = await before.connect(
        sandbox, EndpointRequest(network="lan", container_id="c", endpoint_name="c")
    )
    server = ground.spawn_server(sandbox.fd, "c")
    sandbox.follow(server.pid)
    netns.inside(sandbox.fd, lambda: run("ip", "link", "delete", "eth0"))
    await before.close()

    after = await Controller.open(config)
    await after.restore_network(made)
    assert await after.adopt("c", server.pid, [endpoint], []) == ["endpoint c has lost its interface eth0"]
    await after.release("c")
    await after.dismantle()
    await after.close()


async def test_a_parent_that_is_gone(controller: Controller, ground: Ground) -> None:
    run("ip", "link", "add", "name", "br9", "type", "bridge")
    await controller.create_network(asked(parent="br9"))
    run("ip", "link", "delete", "br9")
    sandbox = await controller.create_sandbox("c")
    with pytest.raises(errdefs.InvalidArgument, match="there is no interface br9"):
        await controller.connect(sandbox, EndpointRequest(network="lan", container_id="c", endpoint_name="c"))
    run("ip", "link", "add", "name", "br9", "type", "bridge")
    await controller.connect(sandbox, EndpointRequest(network="lan", container_id="c", endpoint_name="c"))
    await controller.remove_network(asked().id)
    assert "br9" in interfaces(ground.host)
