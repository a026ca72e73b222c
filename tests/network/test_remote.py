"""Networks and addresses of plugins, with a real plugin on the same host."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import errdefs
from network import netns
from network.controller import Controller, NetworkConfig
from network.drivers.driver import NetworkInfo, Pool
from network.endpoint import Endpoint, EndpointRequest, new_id
from network.ports import PortRequest
from network.sandbox import Sandbox
from plugins.registry import Plugins
from tests.network.ground import Ground, run
from tests.network.plugins import Plugin, plugins_of

pytestmark = pytest.mark.root


@pytest.fixture
def plugin(ground: Ground, tmp_path: Path) -> Iterator[Plugin]:
    plugin = Plugin(tmp_path / "plugins", ("plug", "ipam"))
    yield plugin
    plugin.stop()


@pytest.fixture
def config(tmp_path: Path) -> NetworkConfig:
    return NetworkConfig(instance="0badcafe", exec_root=tmp_path / "exec")


@asynccontextmanager
async def opened(config: NetworkConfig) -> AsyncIterator[Controller]:
    """Another controller on the same host, after the first one has ended."""
    plugins = plugins_of(config.exec_root.parent)
    controller = await Controller.open(config, plugins)
    try:
        yield controller
    finally:
        await controller.dismantle()
        await plugins.close()
        await controller.close()


def asked(name: str = "n", driver: str = "plug", ipam: str = "ipam", **options: Any) -> NetworkInfo:
    return NetworkInfo(
        name=name, id=new_id(), driver=driver, created=datetime.now(UTC), ipam_driver=ipam, **options
    )


def request(name: str = "one", network: str = "n", **options: Any) -> EndpointRequest:
    return EndpointRequest(network=network, container_id=name, endpoint_name=name, **options)


def shown(sandbox: Sandbox, *command: str) -> str:
    return netns.inside(sandbox.fd, lambda: run(*command, check=False))


async def attached(controller: Controller, asking: EndpointRequest) -> tuple[Sandbox, Endpoint]:
    sandbox = await controller.create_sandbox(asking.container_id)
    return sandbox, await controller.connect(sandbox, asking)


def links() -> set[str]:
    return {line.split(": ")[1].split("@")[0] for line in run("ip", "-o", "link").splitlines()}


async def test_a_life(plugin: Plugin, controller: Controller, ground: Ground) -> None:
    before = links()
    made = await controller.create_network(asked(options={"x": "y"}, ipam_options={"a": "b"}))
    assert made.pools == (
        Pool(subnet="10.213.0.0/24", gateway="10.213.0.1", id="pool0/10.213.0.0/24", space="here"),
    )
    calls = plugin.calls()
    assert [(each["plugin"], each["method"]) for each in calls] == [
        *((name, method) for name in ("plug", "ipam") for method in ACTIVATION),
        ("ipam", "IpamDriver.GetDefaultAddressSpaces"),
        ("ipam", "IpamDriver.RequestPool"),
        ("ipam", "IpamDriver.RequestAddress"),
        ("plug", "NetworkDriver.CreateNetwork"),
    ]
    assert calls[0]["headers"]["Host"] == "plugin.moby.localhost"
    assert calls[0]["headers"]["Accept"] == "application/vnd.docker.plugins.v1.2+json"
    sandbox, endpoint = await attached(controller, request())
    assert (endpoint.ipv4, endpoint.prefix_len, endpoint.gateway) == ("10.213.0.2", 24, "10.213.0.1")
    assert endpoint.interface == "eth0"
    assert endpoint.mac.startswith("02:77:")
    assert endpoint.mac in shown(sandbox, "ip", "link", "show", "eth0")
    assert shown(sandbox, "ip", "route").split()[:3] == ["default", "via", "10.213.0.1"]
    ground.serve(sandbox, "one")
    assert (await ground.ask(ground.host, "10.213.0.2", 80)).startswith("one 10.213.0.1 ")
    ground.close_servers()
    await controller.release("one")
    await controller.remove_network(made.id)
    assert plugin.methods() == [
        *("Driver.RequestAddress", "CreateEndpoint", "Join", "ProgramExternalConnectivity"),
        *("RevokeExternalConnectivity", "Leave", "DeleteEndpoint", "Driver.ReleaseAddress"),
        *("Driver.ReleaseAddress", "Driver.ReleasePool", "DeleteNetwork"),
    ]
    assert links() == before


ACTIVATION = ("Plugin.Activate", "NetworkDriver.GetCapabilities", "IpamDriver.GetCapabilities")


async def test_what_is_told_of_ports_and_options(plugin: Plugin, controller: Controller) -> None:
    await controller.create_network(asked())
    published = (
        PortRequest(proto="udp", container_port=53, host_ip="127.0.0.1", host_port_start=5, host_port_end=6),
    )
    asking = request(
        mac="02:42:aa:bb:cc:dd", options={"foo": "bar"}, exposed=(("tcp", 99),), published=published
    )
    await attached(controller, asking)
    ports = {
        "com.docker.network.endpoint.exposedports": [{"Proto": 6, "Port": 99}],
        "com.docker.network.portmap": [
            {"Proto": 17, "IP": "", "Port": 53, "HostIP": "127.0.0.1", "HostPort": 5, "HostPortEnd": 6}
        ],
    }
    told = {each["method"]: each["body"] for each in plugin.calls()}
    options = {"foo": "bar", "com.docker.network.endpoint.macaddress": "AkKqu8zd", **ports}
    assert told["NetworkDriver.CreateEndpoint"]["Options"] == options
    assert told["NetworkDriver.Join"]["Options"] == ports
    assert told["NetworkDriver.ProgramExternalConnectivity"]["Options"] == ports
    assert told["NetworkDriver.CreateEndpoint"]["Interface"]["MacAddress"] == "02:42:aa:bb:cc:dd"


async def test_both_families_and_addresses_asked_for(plugin: Plugin, controller: Controller) -> None:
    pools = (
        Pool(subnet="10.8.0.0/24", gateway="10.8.0.9", aux_addresses={"q": "10.8.0.5"}),
        Pool(subnet="fd00:8::/64"),
    )
    made = await controller.create_network(asked(pools=pools, enable_ipv6=True))
    assert [pool.gateway for pool in made.pools] == ["10.8.0.9", "fd00:8::1"]
    sandbox, endpoint = await attached(controller, request(ipv4="10.8.0.77", ipv6="fd00:8::77"))
    assert (endpoint.ipv4, endpoint.ipv6, endpoint.ipv6_gateway) == ("10.8.0.77", "fd00:8::77", "fd00:8::1")
    assert "inet6 fd00:8::77/64" in shown(sandbox, "ip", "address", "show", "eth0")
    assert shown(sandbox, "ip", "-6", "route", "show", "default").split()[2] == "fd00:8::1"
    other = await controller.create_sandbox("other")
    with pytest.raises(errdefs.InvalidArgument, match=r"10\.9\.0\.1: It does not belong to any"):
        await controller.connect(other, request("other", ipv4="10.9.0.1"))
    with pytest.raises(errdefs.SystemFailure, match=r"remote: 10\.8\.0\.77 is taken"):
        await controller.connect(other, request("other", ipv4="10.8.0.77"))


async def test_subnets_of_ours_for_a_network_of_a_plugin(plugin: Plugin, controller: Controller) -> None:
    made = [await controller.create_network(asked(name, ipam="default")) for name in ("n", "m")]
    assert [each.pools[0].subnet for each in made] == ["172.18.0.0/16", "172.19.0.0/16"]
    told = [each["body"] for each in plugin.calls() if each["method"] == "NetworkDriver.CreateNetwork"]
    assert told[0]["IPv4Data"] == [
        {"AddressSpace": "LocalDefault", "Gateway": "172.18.0.1/16", "Pool": "172.18.0.0/16"}
    ]
    _, endpoint = await attached(controller, request())
    assert endpoint.ipv4 == "172.18.0.2"


async def test_a_bridge_with_addresses_of_a_plugin(plugin: Plugin, controller: Controller) -> None:
    made = await controller.create_network(asked(driver="bridge"))
    assert made.pools[0].subnet == "10.213.0.0/24"
    sandbox, endpoint = await attached(controller, request())
    assert endpoint.ipv4 == "10.213.0.2"
    assert "10.213.0.2/24" in shown(sandbox, "ip", "address")
    await controller.release("one")
    await controller.remove_network(made.id)
    assert plugin.methods()[-4:] == [
        "Driver.RequestAddress",
        *("Driver.ReleaseAddress",) * 2,
        "Driver.ReleasePool",
    ]


async def test_a_network_whose_plugin_gives_addresses_itself(plugin: Plugin, controller: Controller) -> None:
    made = await controller.create_network(asked(ipam="null"))
    assert made.pools == (Pool(subnet="0.0.0.0/0"),)
    given = {"Address": "10.5.0.7/24", "MacAddress": "02:42:0a:00:00:01"}
    plugin.answers(NetworkDriver_CreateEndpoint={"Interface": given})
    sandbox, endpoint = await attached(controller, request())
    assert (endpoint.ipv4, endpoint.mac, endpoint.gateway) == ("10.5.0.7", "02:42:0a:00:00:01", "")
    assert "10.5.0.7/24" in shown(sandbox, "ip", "address")


async def test_routes_and_names_that_join_gives(plugin: Plugin, controller: Controller) -> None:
    await controller.create_network(asked())
    routes = [
        {"Destination": "10.66.0.0/16", "RouteType": 0, "NextHop": "10.213.0.1"},
        {"Destination": "10.67.0.0/16", "RouteType": 1},
    ]
    run("ip", "link", "add", "spare0", "type", "veth", "peer", "name", "spare1")
    names = {"SrcName": "spare0", "DstPrefix": "wv"}
    plugin.answers(NetworkDriver_Join={"StaticRoutes": routes, "InterfaceName": names})
    sandbox, endpoint = await attached(controller, request())
    assert endpoint.interface == "wv0"
    found = shown(sandbox, "ip", "route")
    assert "10.66.0.0/16 via 10.213.0.1 dev wv0" in found
    assert "10.67.0.0/16 dev wv0 scope link" in found
    await controller.disconnect("one", endpoint)
    assert "spare0" in links()
    plugin.answers(NetworkDriver_Join={"InterfaceName": {**names, "DstName": "named"}})
    assert (await controller.connect(sandbox, request())).interface == "named"
    plugin.answers(NetworkDriver_Join={"InterfaceName": None, "Gateway": ""})
    _, bare = await attached(controller, request("two"))
    assert bare.interface == ""


async def test_the_way_out_moves(plugin: Plugin, controller: Controller) -> None:
    """To another network of the plugin and back: told in Docker's order."""
    await controller.create_network(asked("a"))
    await controller.create_network(asked("b"))
    sandbox, first = await attached(controller, request(network="b"))
    plugin.methods()
    await controller.connect(sandbox, request(network="a"))
    assert plugin.methods() == [
        *("Driver.RequestAddress", "CreateEndpoint", "Join"),
        *("RevokeExternalConnectivity", "ProgramExternalConnectivity"),
    ]
    assert "via 10.213.0.1" in shown(sandbox, "ip", "route", "show", "default")
    second = next(each for each in controller._attachments.get("one").endpoints if each.network == "a")
    await controller.disconnect("one", second)
    assert plugin.methods() == [
        *("RevokeExternalConnectivity", "Leave", "DeleteEndpoint", "Driver.ReleaseAddress"),
        "ProgramExternalConnectivity",
    ]
    assert "via 10.213.1.1" in shown(sandbox, "ip", "route", "show", "default")
    await controller.disconnect("one", first)


SYSTEM, NOT_FOUND = errdefs.SystemFailure, errdefs.NotFound
SPACES, POOL, ADDRESS = (
    f"IpamDriver.{each}" for each in ("GetDefaultAddressSpaces", "RequestPool", "RequestAddress")
)
NETWORK, ENDPOINT, JOIN = (f"NetworkDriver.{each}" for each in ("CreateNetwork", "CreateEndpoint", "Join"))
FAULTS = [
    (SPACES, {"body": '{"Error": "x"}'}, NOT_FOUND, "default address space: remote: x"),
    (POOL, {"body": '{"Error": "x"}'}, SYSTEM, "^remote: x$"),
    (POOL, {"body": '{"PoolID": "p", "Pool": "bad"}'}, SYSTEM, "invalid CIDR address: bad"),
    (ADDRESS, {"body": '{"Error": "x"}'}, SYSTEM, r"failed to allocate gateway \(\): remote: x"),
    (ADDRESS, {"body": "{}"}, SYSTEM, r"gateway \(\): no address returned"),
    (NETWORK, {"body": '{"Err": "no room"}'}, SYSTEM, "^remote: no room$"),
    (NETWORK, {"status": 500, "body": '{"Err": "no"}'}, SYSTEM, "^NetworkDriver.CreateNetwork: no$"),
    (NETWORK, {"status": 404, "body": "plain"}, SYSTEM, "^NetworkDriver.CreateNetwork: plain$"),
    (NETWORK, {"body": "[]"}, SYSTEM, "is not a JSON object"),
    (NETWORK, {"body": "x" * (1 << 21)}, SYSTEM, "longer than"),
]


@pytest.mark.parametrize(("method", "fault", "error", "text"), FAULTS)
async def test_a_network_that_cannot_be_made(
    plugin: Plugin,
    controller: Controller,
    method: str,
    fault: dict[str, Any],
    error: type[Exception],
    text: str,
) -> None:
    """What was had of the IPAM plugin is given back."""
    plugin.fails(**{method: fault})
    with pytest.raises(error, match=text):
        await controller.create_network(asked())
    methods = plugin.methods()
    for made, undone in (("Pool", "ReleasePool"), ("Address", "ReleaseAddress")):
        had = f"Driver.Request{made}" in methods and not method.endswith(f"Request{made}")
        assert (f"Driver.{undone}" in methods) == had, methods
    assert [each.name for each in controller.networks()] == ["bridge", "host", "none"]
    plugin.fails()
    await controller.create_network(asked())


MODIFIED = (
    r"driver modified interface address: endpoint interface IP present \(10.213.0.2/24\). Cannot be modified with"
    r" \(10.1.1.1/24\).; rolled back"
)
NO_LINK = 'failed to add interface nosuch to sandbox: failed to get link by name "nosuch": Link not found'
NO_WAY_OUT = (
    r"driver failed programming external connectivity on endpoint one \([0-9a-f]{64}\): remote: no ext"
)
BOTH = ["Leave", "DeleteEndpoint"]
ENDPOINT_FAULTS = [
    (ADDRESS, '{"Error": "full"}', "^remote: full$", []),
    (ENDPOINT, '{"Err": "x"}', "failed to create endpoint one on network n: remote: x", []),
    (ENDPOINT, '{"Interface": {"MacAddress": "zz"}}', "address zz: invalid MAC address", ["DeleteEndpoint"]),
    (ENDPOINT, '{"Interface": {"Address": "10.1.1.1/24"}}', MODIFIED, ["DeleteEndpoint"]),
    (JOIN, '{"Err": "x"}', "^remote: x$", ["DeleteEndpoint"]),
    (JOIN, '{"Gateway": "bad"}', 'unable to parse Gateway "bad"', BOTH),
    (JOIN, '{"StaticRoutes": 1}', "StaticRoutes is not a list", BOTH),
    (JOIN, '{"InterfaceName": {"SrcName": "nosuch", "DstPrefix": "eth"}}', NO_LINK, BOTH),
    ("NetworkDriver.ProgramExternalConnectivity", '{"Err": "no ext"}', NO_WAY_OUT, BOTH),
]


@pytest.mark.parametrize(("method", "fault", "text", "undone"), ENDPOINT_FAULTS)
async def test_an_endpoint_that_cannot_be_made(
    plugin: Plugin, controller: Controller, method: str, fault: str, text: str, undone: list[str]
) -> None:
    await controller.create_network(asked())
    before = links()
    sandbox = await controller.create_sandbox("one")
    plugin.methods()
    plugin.fails(**{method: {"body": fault}})
    with pytest.raises(errdefs.SystemFailure, match=text):
        await controller.connect(sandbox, request())
    methods = plugin.methods()
    assert [each for each in methods if each in ("Leave", "DeleteEndpoint")] == undone
    assert methods[-1] == ("Driver.RequestAddress" if "Ipam" in method else "Driver.ReleaseAddress")
    assert shown(sandbox, "ip", "-o", "link").count("\n") == 1
    plugin.fails()
    endpoint = await controller.connect(sandbox, request())
    assert endpoint.ipv4 == "10.213.0.2"
    await controller.release("one")
    assert links() == before


async def test_a_plugin_that_fails_to_undo_holds_up_nothing(plugin: Plugin, controller: Controller) -> None:
    made = await controller.create_network(asked())
    await attached(controller, request())
    no = {"body": '{"Err": "no", "Error": "no"}'}
    methods = ("RevokeExternalConnectivity", "Leave", "DeleteEndpoint", "DeleteNetwork")
    ipam = {"IpamDriver_ReleaseAddress": no, "IpamDriver_ReleasePool": no}
    plugin.fails(**{f"NetworkDriver_{each}": no for each in methods}, **ipam)
    await controller.release("one")
    await controller.remove_network(made.id)
    assert plugin.methods()[-5:] == [
        *("DeleteEndpoint", "Driver.ReleaseAddress"),
        *("Driver.ReleaseAddress", "Driver.ReleasePool", "DeleteNetwork"),
    ]


async def test_a_plugin_that_hangs_holds_up_nobody_else(plugin: Plugin, controller: Controller) -> None:
    await controller.create_network(asked())
    await controller.create_network(asked("m"))
    plugin.fails(NetworkDriver_CreateNetwork={"seconds": 4})
    hanging = asyncio.create_task(controller.create_network(asked("slow")))  # noqa: TID251
    await asyncio.sleep(0.1)
    await asyncio.wait_for(attached(controller, request()), 3)
    await asyncio.wait_for(controller.create_network(asked("b", driver="bridge", ipam="default")), 3)
    assert not hanging.done()
    await hanging


async def test_unknown_plugins(
    plugin: Plugin, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugins.registry.PATIENCE", (0.05,))
    for info, name in ((asked(driver="nosuch"), "nosuch"), (asked(ipam="../x"), "../x")):
        with pytest.raises(errdefs.NotFound, match=f'^plugin "{re.escape(name)}" not found$'):
            await controller.create_network(info)
    plugin.answers(Plugin_Activate={"Implements": ["VolumeDriver"]})
    with pytest.raises(errdefs.SystemFailure, match='does not implement the requested driver: plugin="ipam"'):
        await controller.create_network(asked())


async def test_a_plugin_that_is_not_there_is_waited_for_once(
    plugin: Plugin,
    controller: Controller,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And is used at once when it is there again."""
    monkeypatch.setattr("plugins.client.PATIENCE", (0.01, 0.02))
    plugin.stop()
    for _ in range(2):
        with pytest.raises(errdefs.SystemFailure, match=r"legacy plugin: Post .*: connection refused"):
            await controller.create_network(asked())
    assert [line.rpartition(" again in ")[2] for line in caplog.messages] == ["0.01 s", "0.02 s"]
    plugin.start()
    await controller.create_network(asked())


async def test_a_capability_that_makes_no_sense(plugin: Plugin, controller: Controller) -> None:
    plugin.answers(NetworkDriver_GetCapabilities={"Scope": "moon"})
    with pytest.raises(errdefs.SystemFailure, match="expecting 'local' or 'global', got moon"):
        await controller.create_network(asked())
    plugin.answers(NetworkDriver_GetCapabilities={"Scope": "global"})
    made = await controller.create_network(asked())
    assert made.scope == "global"
    assert made.pools[0].space == "everywhere"


async def test_a_plugin_that_wants_mac_addresses(plugin: Plugin, controller: Controller) -> None:
    plugin.answers(IpamDriver_GetCapabilities={"RequiresMACAddress": True})
    await controller.create_network(asked())
    _, endpoint = await attached(controller, request())
    told = [each["body"] for each in plugin.calls() if each["method"] == "IpamDriver.RequestAddress"]
    assert told[-1]["Options"] == {"com.docker.network.endpoint.macaddress": endpoint.mac}


async def test_a_spec_file(plugin: Plugin, controller: Controller, tmp_path: Path) -> None:
    specs = tmp_path / "specs"
    specs.mkdir()
    (specs / "named.spec").write_text(f"unix://{plugin.folder}/plug.sock\n")
    (specs / "bad.spec").write_text("nothing")
    (specs / "json.json").write_text(json.dumps({"Addr": f"unix://{plugin.folder}/ipam.sock"}))
    await controller.create_network(asked(driver="named", ipam="json"))
    with pytest.raises(errdefs.SystemFailure, match="Unknown protocol"):
        await controller.create_network(asked("m", driver="bad"))


async def test_nothing_is_called_after_a_restart(
    plugin: Plugin, config: NetworkConfig, plugins: Plugins, ground: Ground
) -> None:
    """A running container is adopted; the next one gets the next address, and what is undone is told."""
    first = await Controller.open(config, plugins)
    made = await first.create_network(asked())
    sandbox, endpoint = await attached(first, request())
    process = ground.spawn_server(sandbox.fd, "one")
    await first.close()
    plugin.methods()
    async with opened(config) as second:
        await second.restore_network(made)
        assert await second.adopt("one", process.pid, [endpoint], []) == []
        await second.reconcile({"one"})
        assert plugin.methods() == []
        _, other = await attached(second, request("two"))
        assert other.ipv4 == "10.213.0.3"
        process.kill()
        process.wait()
        await second.release("two")
        await second.release("one")
        await second.remove_network(made.id)
        assert plugin.methods()[-7:] == [
            *("RevokeExternalConnectivity", "Leave", "DeleteEndpoint", "Driver.ReleaseAddress"),
            *("Driver.ReleaseAddress", "Driver.ReleasePool", "DeleteNetwork"),
        ]


async def test_an_interface_that_is_gone_after_a_restart(
    plugin: Plugin, config: NetworkConfig, plugins: Plugins, ground: Ground
) -> None:
    first = await Controller.open(config, plugins)
    made = await first.create_network(asked())
    sandbox, endpoint = await attached(first, request())
    process = ground.spawn_server(sandbox.fd, "one")
    shown(sandbox, "ip", "link", "delete", "eth0")
    await first.close()
    async with opened(config) as second:
        await second.restore_network(made)
        assert await second.adopt("one", process.pid, [endpoint], []) == [
            "endpoint one has lost its interface"
        ]


async def test_a_plugin_without_memory_is_told_again(
    plugin: Plugin, config: NetworkConfig, plugins: Plugins, ground: Ground
) -> None:
    plugin.answers(IpamDriver_GetCapabilities={"RequiresRequestReplay": True})
    first = await Controller.open(config, plugins)
    made = await first.create_network(asked())
    sandbox, endpoint = await attached(first, request())
    process = ground.spawn_server(sandbox.fd, "one")
    await first.close()
    plugin.stop()
    plugin.start()
    plugin.calls()
    async with opened(config) as second:
        await second.restore_network(made)
        await second.adopt("one", process.pid, [endpoint], [])
        _, other = await attached(second, request("two"))
        assert other.ipv4 == "10.213.0.3"
        told = [each["body"] for each in plugin.calls() if each["method"] == "IpamDriver.RequestAddress"]
        assert [each["Address"] for each in told] == ["10.213.0.1", "10.213.0.2", ""]


async def test_a_plugin_that_is_away(
    plugin: Plugin, config: NetworkConfig, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers and networks go all the same, as in Docker; one that this daemon never met keeps its network."""
    monkeypatch.setattr("plugins.client.PATIENCE", (0.05,))
    monkeypatch.setattr("plugins.registry.PATIENCE", (0.05,))
    first = await Controller.open(config, plugins)
    made = await first.create_network(asked())
    other = await first.create_network(asked("m"))
    await attached(first, request())
    plugin.stop()
    with pytest.raises(errdefs.SystemFailure, match=r"dial unix .*/ipam.sock: connect: connection refused"):
        await first.connect(await first.create_sandbox("two"), request("two"))
    await first.release("one")
    await first.release("two")
    await first.remove_network(made.id)
    assert [each.name for each in first.networks()][3:] == ["m"]
    await first.close()
    async with opened(config) as second:
        await second.restore_network(other)
        with pytest.raises(errdefs.SystemFailure, match=r"^failed deleting Network: "):
            await second.remove_network(other.id)
        assert [each.name for each in second.networks()][3:] == ["m"]
        plugin.start()
        await second.remove_network(other.id)
        assert [each.name for each in second.networks()][3:] == []
