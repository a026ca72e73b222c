"""Plugins of networks and addresses that fail, hang, make no sense or are not there."""

import asyncio
import re
from typing import Any

import pytest

import errdefs
from network.controller import Controller
from plugins.registry import NETWORK as NETWORK_DRIVER
from plugins.registry import Plugins
from tests.network.ground import eventually
from tests.network.plugins import Plugin
from tests.network.remote import asked, attached, links, request, shown

pytestmark = pytest.mark.root


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
    plugin.fails(NetworkDriver_CreateNetwork={"seconds": 100})
    plugin.methods()
    hanging = asyncio.create_task(controller.create_network(asked("slow")))  # noqa: TID251
    assert await eventually(lambda: "CreateNetwork" in plugin.methods())
    await attached(controller, request())
    await controller.create_network(asked("b", driver="bridge", ipam="default"))
    assert not hanging.done()
    plugin.fails()
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


async def test_who_waits_for_a_plugin_does_not_fail_with_who_does_not(
    plugin: Plugin, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both share an activation, during which the plugin ends; it is there again a little later."""
    monkeypatch.setattr("plugins.client.PATIENCE", (0.1,) * 200)
    plugin.fails(Plugin_Activate={"seconds": 100})
    hasty = asyncio.create_task(plugins.get("plug", NETWORK_DRIVER, patient=False))  # noqa: TID251
    assert await eventually(lambda: "Plugin.Activate" in plugin.methods())
    patient = asyncio.create_task(plugins.get("plug", NETWORK_DRIVER))  # noqa: TID251
    await asyncio.sleep(0)
    plugin.stop()
    with pytest.raises(errdefs.SystemFailure, match="the plugin broke off"):
        await hasty
    plugin.fails()
    plugin.start()
    assert NETWORK_DRIVER in (await patient).implements


async def test_a_capability_that_makes_no_sense(plugin: Plugin, controller: Controller) -> None:
    plugin.answers(NetworkDriver_GetCapabilities={"Scope": "moon"})
    with pytest.raises(errdefs.SystemFailure, match="expecting 'local' or 'global', got moon"):
        await controller.create_network(asked())
    plugin.answers(NetworkDriver_GetCapabilities={"Scope": "global"})
    made = await controller.create_network(asked())
    assert made.scope == "global"
    assert made.pools[0].space == "everywhere"


@pytest.mark.parametrize(
    "fault", [{"body": '{"Err": "no"}'}, {"status": 404, "body": "no"}, {"seconds": 100}]
)
async def test_a_plugin_that_tells_nothing_of_endpoints(
    plugin: Plugin, controller: Controller, fault: dict[str, Any]
) -> None:
    await controller.create_network(asked())
    plugin.fails(NetworkDriver_EndpointOperInfo=fault)
    async with asyncio.timeout(15):
        _, endpoint = await attached(controller, request())
    assert endpoint.ipv4 == "10.213.0.2"
    assert plugin.methods()[-1] == "EndpointOperInfo"
    plugin.fails()
