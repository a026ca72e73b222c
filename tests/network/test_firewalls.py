"""ufw and firewalld beside the daemon: enabled while containers run, reloaded while others start.

What worked goes on working, and what may not be reached is reached at no sampled instant.
"""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from network.controller import Controller, NetworkConfig
from tests.daemon import PATH, Wherryd
from tests.network import firewalls
from tests.network.bridged import NAME, join, network, with_options
from tests.network.conftest import INSTANCE, tcp
from tests.network.firewalls import Firewall, Firewalld, Ufw
from tests.network.ground import CLIENT4, HOST4, Ground, eventually
from tests.network.test_no_instant import Sampler
from tests.roots import make_root

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

RELOADS = 5
FIREWALLS: dict[str, Callable[[Path], Firewall]] = {"ufw": Ufw, "firewalld": Firewalld}


@pytest.fixture(params=sorted(FIREWALLS))
def firewall(ground: Ground, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Firewall]:
    """One that does not rule yet."""
    if reason := firewalls.missing():
        pytest.skip(reason)
    made = FIREWALLS[request.param](tmp_path)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def wherryd(ground: Ground, firewall: Firewall, busybox_tar: Path) -> Iterator[Wherryd]:
    """A daemon on the host of the firewall, with two networks of users and one that is internal."""
    daemon = Wherryd(make_root(), env=firewall.env)
    try:
        daemon.start()
        daemon.import_busybox(busybox_tar)
        for words in (["--ipv6", "mine"], ["other"], ["--internal", "inner"]):
            daemon.docker("network", "create", *words)
        yield daemon
    finally:
        daemon.docker("rm", "-f", *daemon.docker("ps", "-aq").stdout.split(), check=False)
        daemon.docker("network", "prune", "-f")
        daemon.destroy()


class Placed:
    """A container with a server for TCP and UDP on port 80, which answers with its name."""

    def __init__(self, daemon: Wherryd, ground: Ground, name: str, network: str, *ports: str) -> None:
        options = [word for port in ports for word in ("-p", port)]
        daemon.docker("run", "-d", "--name", name, "--network", network, *options, "busybox", "sleep", "1000")
        told = json.loads(daemon.docker("inspect", "-f", "{{json .NetworkSettings}}", name).stdout)
        self.ipv4: str = told["Networks"][network]["IPAddress"]
        self.fd = os.open(told["SandboxKey"], os.O_RDONLY | os.O_CLOEXEC)
        self._daemon, self._name = daemon, name
        ground.spawn_server(self.fd, name)

    def reaches_outside(self) -> bool:
        script = f"echo hello | nc -w 10 {CLIENT4} 9000"
        found = self._daemon.docker("exec", self._name, "sh", "-c", script, check=False)
        return found.stdout.startswith("outside ")


async def all_works(ground: Ground, web: Placed, own: Placed) -> None:
    """Published ports by both protocols, the way out, and names."""
    for udp in (False, True):
        assert (await ground.ask(ground.client, HOST4, 8080, udp=udp)).startswith("web ")
        assert (await ground.ask(ground.client, HOST4, 8082, udp=udp)).startswith("own ")
        assert (await ground.ask(ground.host, "127.0.0.1", 8081, udp=udp)).startswith("web ")
    for each in (web, own):
        assert await asyncio.to_thread(each.reaches_outside)


async def test_containers_under_a_firewall(wherryd: Wherryd, firewall: Firewall, ground: Ground) -> None:
    ground.serve(ground.client, "outside", port=9000)
    loopback = ("127.0.0.1:8081:80/tcp", "127.0.0.1:8081:80/udp")
    web = Placed(wherryd, ground, "web", "bridge", "8080:80/tcp", "8080:80/udp", *loopback)
    own = Placed(wherryd, ground, "own", "mine", "8082:80/tcp", "8082:80/udp")
    other = Placed(wherryd, ground, "oth", "other")
    inner = Placed(wherryd, ground, "inn", "inner")
    await all_works(ground, web, own)
    forbidden = [
        Sampler(ground.client, HOST4, 8081),
        Sampler(ground.client, web.ipv4, 80),
        Sampler(other.fd, web.ipv4, 80),
        Sampler(other.fd, own.ipv4, 80),
        Sampler(other.fd, inner.ipv4, 80),
    ]
    try:
        await asyncio.to_thread(firewall.enable)
        for turn in range(RELOADS):
            starting = [
                asyncio.to_thread(
                    wherryd.docker, "run", "--rm", "--network", network, "busybox", "true", timeout=120
                )
                for network in ("bridge", "mine", "other")
            ]
            await asyncio.gather(asyncio.to_thread(firewall.reload), *starting)
            wherryd.docker("network", "create", f"more{turn}")
    finally:
        for each in forbidden:
            await asyncio.to_thread(each.close)
    assert set().union(*(each.heard for each in forbidden)) == set()
    assert min(each.sent for each in forbidden) > 100
    assert await eventually(own.reaches_outside, 20)
    await all_works(ground, web, own)
    for placed in (web, own, other, inner):
        os.close(placed.fd)


async def test_zones_of_bridges(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`trusted`, unless somebody meant another one, and nothing that is written down: a reload forgets it."""
    if reason := firewalls.missing():
        pytest.skip(reason)
    firewalld = Firewalld(tmp_path)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", firewalld.env["DBUS_SYSTEM_BUS_ADDRESS"])

    def members(zone: str) -> str:
        return firewalld.client(f"--zone={zone}", "--list-interfaces")

    try:
        await asyncio.to_thread(firewalld.enable)
        firewalld.client("--permanent", "--new-zone=containers")
        firewalld.client("--permanent", "--zone=containers", "--add-interface=meant0")
        firewalld.client("--permanent", "--new-policy=out")
        for word in ("--add-ingress-zone=containers", "--add-egress-zone=ANY", "--set-target=ACCEPT"):
            firewalld.client("--permanent", "--policy=out", word)
        firewalld.reload()
        ground.serve(ground.client, "outside", port=9000)
        ground.serve(ground.host, "host", port=9001)
        controller = await Controller.open(NetworkConfig(instance=INSTANCE, exec_root=tmp_path))
        try:
            await controller.create_network(with_options(network("n"), **{NAME: "meant0"}))
            assert await eventually(lambda: members("trusted") == "wherry0", 60)
            assert members("containers") == "meant0"
            free, _ = await join(controller, "free", "bridge")
            bound, _ = await join(controller, "bound", "n")
            ground.serve(bound, "bound")
            await controller.publish("bound", [tcp(8080)])
            for each in (free, bound):
                assert await ground.ask(each, CLIENT4, 9000) == f"outside {HOST4} x"
            assert (await ground.ask(free, HOST4, 9001)).startswith("host ")
            assert await ground.ask(bound, HOST4, 9001, seconds=1) == ""
            assert await ground.ask(ground.client, HOST4, 8080) == f"bound {CLIENT4} x"
            firewalld.reload()
            assert await eventually(lambda: members("trusted") == "wherry0", 60)
            assert members("containers") == "meant0"
            assert firewalld.client("--permanent", "--zone=trusted", "--list-interfaces") == ""
        finally:
            await controller.dismantle()
            await controller.close()
    finally:
        firewalld.close()


@pytest.mark.parametrize("firewall", ["firewalld"], indirect=True)
def test_zones_of_bridges_that_go(wherryd: Wherryd, firewall: Firewalld, ground: Ground) -> None:
    """With their network, or with all that a daemon had, unless it is written that they are there."""

    def members() -> set[str]:
        return set(firewall.client("--zone=trusted", "--list-interfaces").split())

    firewall.enable()
    firewall.client("--permanent", "--zone=trusted", "--add-interface=meant1")
    firewall.reload()
    option = "com.docker.network.bridge.name"
    for name in ("gone1", "meant1", "stays1"):
        wherryd.docker("network", "create", "-o", f"{option}={name}", name)
    until(lambda: {"gone1", "stays1", wherryd.bridge} <= members())
    wherryd.docker("network", "rm", "gone1", "meant1")
    until(lambda: "gone1" not in members())
    assert {"meant1", "stays1"} <= members()
    wherryd.terminate()
    assert {"stays1", wherryd.bridge} <= members()
    done = subprocess.run(
        [*wherryd.argv, "--purge-network"],
        capture_output=True,
        text=True,
        env={"PATH": PATH, **firewall.env},
        cwd="/",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert members() == {"meant1"}
    wherryd.start()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60  # each look is a start of firewall-cmd
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
