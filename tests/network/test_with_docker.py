"""The whole way: the docker CLI, wherryd, runc, and a client on the wire."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import Wherryd
from tests.network.ground import CLIENT4, HOST4, HOST6, Ground, eventually
from tests.network.test_restart import Traffic
from tests.roots import make_root

pytestmark = pytest.mark.root

ECHO = ("nc", "-ll", "-p", "80", "-e", "cat")


@pytest.fixture
def wherryd(ground: Ground, busybox_tar: Path) -> Iterator[Wherryd]:
    """A daemon on the host of the test."""
    with Wherryd(make_root()).running(busybox_tar) as daemon:
        yield daemon


async def serve(wherryd: Wherryd, name: str, *options: str) -> None:
    """Run a container with a server on port 80 that listens: its start tells nothing of that."""
    wherryd.docker("run", "-d", "--name", name, *options, "busybox", *ECHO)
    fields = ("exec", name, "netstat", "-ltn")
    assert await eventually(lambda: ":80 " in wherryd.docker(*fields).stdout)


async def test_a_published_port_and_what_inspect_tells(wherryd: Wherryd, ground: Ground) -> None:
    await serve(wherryd, "web", "-p", "8080:80", "-p", "127.0.0.1:8081:81/udp")
    for where, address in (
        (ground.client, HOST4),
        (ground.client, HOST6),
        (ground.host, "127.0.0.1"),
        (ground.host, "::1"),
        (ground.host, HOST4),
    ):
        assert await ground.ask(where, address, 8080) == "x"
    settings = json.loads(wherryd.docker("inspect", "-f", "{{json .NetworkSettings}}", "web").stdout)
    assert settings["Ports"] == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
        "81/udp": [{"HostIp": "127.0.0.1", "HostPort": "8081"}],
    }
    bridge = settings["Networks"]["bridge"]
    assert (bridge["IPAddress"], bridge["IPPrefixLen"], bridge["Gateway"], bridge["MacAddress"]) == (
        "172.17.0.2",
        16,
        "172.17.0.1",
        "02:42:ac:11:00:02",
    )
    assert (
        f"net:[{os.stat(settings['SandboxKey']).st_ino}]"
        == wherryd.docker("exec", "web", "readlink", "/proc/self/ns/net").stdout.strip()
    )
    assert wherryd.docker("port", "web", "80").stdout == "0.0.0.0:8080\n[::]:8080\n"
    hosts = wherryd.docker("exec", "web", "cat", "/etc/hosts").stdout
    assert hosts.splitlines()[-1].startswith("172.17.0.2\t")


async def test_the_outside_is_reached(wherryd: Wherryd, ground: Ground) -> None:
    ground.serve(ground.client, "outside", port=9000)
    script = f"echo hello | nc -w 10 {CLIENT4} 9000"
    assert wherryd.docker("run", "--rm", "busybox", "sh", "-c", script).stdout == f"outside {HOST4} hello\n"


async def test_a_port_in_use(wherryd: Wherryd) -> None:
    wherryd.docker("run", "-d", "--name", "web", "-p", "8080:80", "busybox", *ECHO)
    done = wherryd.docker("run", "-d", "--name", "two", "-p", "8080:80", "busybox", *ECHO, check=False)
    assert done.returncode == 125
    assert "driver failed programming external connectivity on endpoint two (" in done.stderr
    assert "): Bind for 0.0.0.0:8080 failed: port is already allocated" in done.stderr
    answer = wherryd.call("POST", "/v1.45/containers/two/start")
    assert answer.status == 500
    wherryd.docker("rm", "-f", "web")
    wherryd.docker("start", "two")


async def test_a_killed_daemon_stops_no_traffic(wherryd: Wherryd, ground: Ground) -> None:
    await serve(wherryd, "web", "-p", "8080:80")
    traffic = Traffic(ground, 8080)
    await traffic.goes_on()
    wherryd.kill9()
    await traffic.goes_on()
    await asyncio.to_thread(wherryd.start)
    await traffic.goes_on()
    traffic.stop()
    assert traffic.failures == []
    assert await ground.ask(ground.host, "::1", 8080) == "x"
    wherryd.docker("rm", "-f", "web")
    assert await ground.ask(ground.client, HOST4, 8080, seconds=0.4) == ""


async def test_networks_of_other_kinds(wherryd: Wherryd, ground: Ground) -> None:
    ground.serve(ground.host, "host", port=7000)
    script = "echo x | nc -w 10 127.0.0.1 7000 || echo none"
    assert wherryd.docker(
        "run", "--rm", "--network", "host", "busybox", "sh", "-c", script
    ).stdout.startswith("host ")
    for network in ("none", "bridge"):
        given = wherryd.docker(
            "run", "--rm", "--network", network, "busybox", "sh", "-c", script + " 2>/dev/null"
        ).stdout
        assert given == "none\n"
    await serve(wherryd, "web")
    script = "echo x | nc -w 10 127.0.0.1 80"
    assert (
        wherryd.docker("run", "--rm", "--network", "container:web", "busybox", "sh", "-c", script).stdout
        == "x\n"
    )
