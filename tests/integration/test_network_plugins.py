"""Networks of plugins by the official CLI, with a real plugin on the daemon's host."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.network.plugins import Plugin

pytestmark = pytest.mark.root

ACTIVATION = ("Plugin.Activate", "GetCapabilities", "Driver.GetCapabilities")
SOCKETS = Path("/run/docker/plugins")


@pytest.fixture
def plugin(wherryd: Wherryd, tmp_path: Path) -> Iterator[Plugin]:
    """A plugin of two names that nobody else has; its networks are removed."""
    SOCKETS.mkdir(parents=True, exist_ok=True)
    suffix = secrets.token_hex(3)
    plugin = Plugin(tmp_path / "plugin", (f"net{suffix}", f"ipam{suffix}"), SOCKETS)
    yield plugin
    for name in wherryd.docker("network", "ls", "-q", "-f", "type=custom").stdout.split():
        wherryd.docker("network", "rm", name, check=False)
    plugin.remove()


def asked(plugin: Plugin) -> list[str]:
    """What it was asked since the last look, but for what it is: other daemons of this host ask that of everybody."""
    return [each for each in plugin.methods() if each not in ACTIVATION]


def create(wherryd: Wherryd, plugin: Plugin, name: str, *options: str) -> None:
    driver, ipam = plugin.names
    wherryd.docker("network", "create", "-d", driver, "--ipam-driver", ipam, *options, name)


def test_a_container_in_networks_of_a_plugin(wherryd: Wherryd, plugin: Plugin) -> None:
    create(wherryd, plugin, "n1", "-o", "x=y", "--ipam-opt", "a=b", "--label", "l=m")
    (shown,) = json.loads(wherryd.docker("network", "inspect", "n1").stdout)
    assert (shown["Driver"], shown["Options"], shown["Labels"]) == (plugin.names[0], {"x": "y"}, {"l": "m"})
    assert shown["IPAM"]["Driver"] == plugin.names[1]
    assert shown["IPAM"]["Config"] == [{"Subnet": "10.213.0.0/24", "Gateway": "10.213.0.1"}]
    assert plugin.names[0] in wherryd.docker("info", "--format", "{{.Plugins.Network}}").stdout
    wherryd.docker("network", "create", "n2")
    run = ("run", "-d", "--network", "n1", "-p", "8080:80", "--expose", "99", "busybox", "sleep", "100")
    wherryd.docker(*run[:2], "--name", "c1", *run[2:])
    wherryd.docker("run", "--rm", "--network", "n1", "busybox", "ping", "-c1", "-W5", "10.213.0.1")
    asked = wherryd.docker(
        "run", "--rm", "--network", "n1", "busybox", "ping", "-c1", "-W1", "c1", check=False
    )
    assert "PING c1 (10.213.0.2)" in asked.stdout
    assert wherryd.docker("port", "c1").stdout == ""
    wherryd.docker("network", "connect", "n2", "c1")
    assert "via 10.213.0.1" in wherryd.docker("exec", "c1", "ip", "route").stdout
    wherryd.docker("network", "disconnect", "n1", "c1")
    assert "10.213.0" not in wherryd.docker("exec", "c1", "ip", "route").stdout
    wherryd.docker("network", "connect", "n1", "c1")
    wherryd.docker("restart", "-t0", "c1")
    assert "10.213.0.2/24" in wherryd.docker("exec", "c1", "ip", "address").stdout
    assert "has active endpoints" in wherryd.docker("network", "rm", "n1", check=False).stderr
    wherryd.docker("rm", "-f", "c1")
    wherryd.docker("network", "rm", "n1", "n2")
    joins = [each["body"]["Options"] for each in plugin.calls() if each["method"] == "NetworkDriver.Join"]
    published = {"Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": 8080, "HostPortEnd": 8080}
    assert joins[0]["com.docker.network.portmap"] == [published]
    assert {each["Port"] for each in joins[0]["com.docker.network.endpoint.exposedports"]} == {80, 99}


def test_a_start_that_the_plugin_refuses(wherryd: Wherryd, plugin: Plugin) -> None:
    create(wherryd, plugin, "n1")
    plugin.methods()
    plugin.fails(NetworkDriver_Join={"body": '{"Err": "no room"}'})
    done = wherryd.docker("run", "--rm", "--network", "n1", "busybox", "true", check=False)
    assert done.returncode == 125
    assert "remote: no room" in done.stderr
    assert asked(plugin) == [
        *("Driver.RequestAddress", "CreateEndpoint", "Join", "DeleteEndpoint", "Driver.ReleaseAddress")
    ]
    plugin.fails()
    wherryd.docker("run", "--rm", "--network", "n1", "busybox", "true")


def test_the_daemon_is_killed(wherryd: Wherryd, plugin: Plugin) -> None:
    """Nothing is called again for what runs; the container is released by what is known of it."""
    create(wherryd, plugin, "n1")
    wherryd.docker("run", "-d", "--name", "c1", "--network", "n1", "busybox", "sleep", "100")
    plugin.methods()
    wherryd.kill9()
    wherryd.start()
    assert "10.213.0.2/24" in wherryd.docker("exec", "c1", "ip", "address").stdout
    assert asked(plugin) == []
    wherryd.docker("rm", "-f", "c1")
    wherryd.docker("network", "rm", "n1")
    assert asked(plugin) == [
        *("RevokeExternalConnectivity", "Leave", "DeleteEndpoint", "Driver.ReleaseAddress"),
        *("Driver.ReleaseAddress", "Driver.ReleasePool", "DeleteNetwork"),
    ]


def test_a_driver_that_is_not_there(wherryd: Wherryd, plugin: Plugin) -> None:
    """It is waited for, as in Docker; the answer is Docker's."""
    answer = wherryd.call("POST", "/networks/create", {"Name": "n1", "Driver": "no/such"})
    assert (answer.status, answer.json) == (404, {"message": 'plugin "no/such" not found'})
