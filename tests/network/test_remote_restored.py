"""Networks and addresses of plugins after a restart of the daemon."""

import pytest

import errdefs
from network.controller import Controller, NetworkConfig
from plugins.registry import Plugins
from tests.network.ground import Ground
from tests.network.plugins import Plugin
from tests.network.remote import asked, attached, opened, request, shown

pytestmark = pytest.mark.root


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
