"""Bridge networks of users after a restart of the daemon or the host, and beside those of another daemon."""

import socket

import pytest
from msgspec.structs import replace

from network.controller import Controller, NetworkConfig
from network.drivers.driver import Pool
from network.endpoint import EndpointRequest
from network.sandbox import Sandbox
from tests.network.bridged import V6, inside, join, kernel, network
from tests.network.conftest import INSTANCE
from tests.network.ground import CLIENT6, Ground, run

pytestmark = pytest.mark.root


async def reopened(controller: Controller, config: NetworkConfig) -> Controller:
    await controller.close()
    return await Controller.open(config)


@pytest.fixture
async def first(ground: Ground, config: NetworkConfig) -> Controller:
    """A controller that the test closes, in a host that nobody cleans but the ground."""
    controller = await Controller.open(config)
    await controller.reconcile(set())
    return controller


async def test_after_a_restart_networks_are_as_they_were(
    ground: Ground, config: NetworkConfig, first: Controller
) -> None:
    made = [
        await first.create_network(network("web", V6, ipv6=True)),
        await first.create_network(network("back", internal=True)),
    ]
    sandbox, web = await join(first, "one")
    back = await first.connect(
        sandbox, EndpointRequest(network="back", container_id="one", endpoint_name="one")
    )
    process = ground.spawn_server(sandbox.fd, "one")
    before = kernel()
    second = await reopened(first, config)
    try:
        for each in made:
            await second.restore_network(each)
        assert [each.name for each in second.networks()] == ["bridge", "host", "none", "web", "back"]
        assert await second.adopt("one", process.pid, [web, back], []) == []
        await second.reconcile({"one"})
        assert kernel() == before
        two, other = await join(second, "two")
        assert (other.ipv4, other.ipv6) == ("172.18.0.3", "fd00:5::3")
        assert (await ground.ask(two, web.ipv4, 80)).startswith("one ")
        assert second.gateways("one") == (web, web)
        await second.disconnect("one", web)
        assert inside(sandbox_of(process.pid), "ip", "-br", "link").count("eth") == 1
    finally:
        process.kill()
        process.wait()
        await second.dismantle()
        await second.close()
    assert "br-" not in run("ip", "link")


async def test_after_a_restart_networks_are_guarded_and_lead_outside_as_before(
    ground: Ground, config: NetworkConfig, first: Controller
) -> None:
    made = await first.create_network(network("web", V6, ipv6=True))
    await first.close()
    for family in ("all", "default"):
        run("sysctl", "-qw", f"net.ipv6.conf.{family}.forwarding=0")
    second = await Controller.open(config)
    try:
        await second.restore_network(made)
        await second.reconcile(set())
        assert made.bridge in run("nft", "list", "set", "inet", f"wherry_{INSTANCE}_shield", "bridges")
        sandbox, _ = await join(second, "one")
        ground.serve(ground.client, "outside", port=9000, address="::")
        assert (await ground.ask(sandbox, CLIENT6, 9000)).startswith("outside ")
    finally:
        await second.dismantle()
        await second.close()


def sandbox_of(pid: int) -> Sandbox:
    return Sandbox(id="", container_id="", fd=-1, path=f"/proc/{pid}/ns/net", key=None)  # type: ignore[arg-type]


async def test_after_a_restart_what_is_missing_is_made_and_what_is_nobodys_goes(
    ground: Ground, config: NetworkConfig, first: Controller
) -> None:
    kept = await first.create_network(network("kept", V6, ipv6=True))
    lost = await first.create_network(network("lost"))
    run("ip", "link", "add", "br-another", "type", "bridge")
    run("ip", "link", "add", "br-0123456789ab", "type", "bridge")
    run("ip", "link", "set", "br-0123456789ab", "alias", "wherry:12345678")
    before = run("ip", "-br", "address", "show", kept.bridge).split()[2:]
    run("ip", "link", "del", kept.bridge)
    second = await reopened(first, config)
    try:
        await second.restore_network(kept)
        await second.reconcile(set())
        assert run("ip", "-br", "address", "show", kept.bridge).split()[2:-1] == before[:-1]
        assert lost.bridge not in run("ip", "link")
        assert lost.bridge not in run("nft", "list", "ruleset")
        assert "br-another" in run("ip", "link"), "not marked"
        assert "br-0123456789ab" in run("ip", "link"), "another instance's"
        one, endpoint = await join(second, "one", "kept")
        ground.serve(one, "one")
        assert (await ground.ask(ground.host, endpoint.ipv4, 80)).startswith("one ")
    finally:
        await second.dismantle()
        await second.close()


async def test_after_a_host_was_restarted_with_other_addresses(
    ground: Ground, config: NetworkConfig, first: Controller
) -> None:
    """The bridge has been changed meanwhile: it is what the network says again."""
    made = await first.create_network(network())
    await first.close()
    run("ip", "address", "flush", "dev", made.bridge)
    run("ip", "address", "add", "10.99.0.1/24", "dev", made.bridge)
    run("ip", "link", "set", made.bridge, "down")
    second = await Controller.open(config)
    try:
        await second.restore_network(made)
        assert run("ip", "-br", "address", "show", made.bridge).split()[2:] == ["172.18.0.1/16"]
        assert "UP" in run("ip", "link", "show", made.bridge)
    finally:
        await second.dismantle()
        await second.close()


async def test_a_subnet_of_link_local_addresses(config: NetworkConfig, first: Controller) -> None:
    made = await first.create_network(network("web", Pool(subnet="fe80::/64"), ipv4=False, ipv6=True))
    second = await reopened(first, config)
    try:
        await second.restore_network(made)
        assert " fe80::1/64" in run("ip", "-br", "address", "show", made.bridge)
        _, endpoint = await join(second, "one")
        assert endpoint.ipv6 == "fe80::2"
    finally:
        await second.dismantle()
        await second.close()


async def test_two_instances_have_networks_beside_each_other(
    controller: Controller, ground: Ground, config: NetworkConfig
) -> None:
    other = await Controller.open(
        replace(config, instance="0badcaff", bridge="wherry1", exec_root=config.exec_root / "other")
    )
    try:
        mine = await controller.create_network(network())
        theirs = await other.create_network(network())
        assert mine.subnets != theirs.subnets
        one, endpoint = await join(controller, "one")
        ground.serve(one, "one")
        two, _ = await join(other, "two")
        assert await ground.ask(two, endpoint.ipv4, 80, seconds=0.3) == ""
        await other.reconcile({"two"})
        await controller.reconcile({"one"})
        assert {mine.bridge, theirs.bridge} <= {name for _, name in socket.if_nameindex()}
    finally:
        await other.dismantle()
        await other.close()
    assert (await ground.ask(ground.host, endpoint.ipv4, 80)).startswith("one ")
