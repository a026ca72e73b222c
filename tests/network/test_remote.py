"""Networks and addresses of plugins, with a real plugin on the same host."""

import json
from pathlib import Path

import pytest

import errdefs
from network.controller import Controller
from network.drivers.driver import Pool
from network.ports import PortRequest
from tests.network.ground import Ground, run
from tests.network.plugins import Plugin
from tests.network.remote import ACTIVATION, asked, attached, links, request, shown

pytestmark = pytest.mark.root


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
        "EndpointOperInfo",
        *("RevokeExternalConnectivity", "Leave", "DeleteEndpoint", "Driver.ReleaseAddress"),
        *("Driver.ReleaseAddress", "Driver.ReleasePool", "DeleteNetwork"),
    ]
    assert links() == before


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
        *("EndpointOperInfo", "EndpointOperInfo"),
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
