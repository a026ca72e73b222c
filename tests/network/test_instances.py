"""Two daemons on one host do not touch each other's things; a bridge that is not ours is used, never removed."""

import asyncio
import itertools
import os
import secrets
import signal
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import pytest

import errdefs
from network import netns
from network.controller import Controller, NetworkConfig
from network.drivers.default_bridge import DefaultBridge
from network.drivers.driver import NetworkInfo
from network.ipam.pools import overlap
from tests.network.conftest import Start, starter, tcp
from tests.network.ground import CLIENT4, HOST4, Ground, run
from tests.network.test_restart import Daemon

pytestmark = pytest.mark.root


def second(tmp_path: Path, bridge: str = "wherry1", bip: str | None = None) -> NetworkConfig:
    return NetworkConfig(
        instance="5ec0d000",
        exec_root=tmp_path / "second",
        bridge=bridge,
        default_bridge=DefaultBridge(bip=bip or ""),
    )


async def test_side_by_side(ground: Ground, start: Start, tmp_path: Path) -> None:
    one = await start("one", [tcp(8080)])
    controller = await Controller.open(second(tmp_path))
    await controller.reconcile(set())
    two = await starter(ground, controller)("two", [tcp(8081)])
    assert (one.endpoint.ipv4, two.endpoint.ipv4) == ("172.17.0.2", "172.18.0.2")
    assert await ground.ask(ground.client, HOST4, 8080) == f"one {CLIENT4} x"
    assert await ground.ask(ground.client, HOST4, 8081) == f"two {CLIENT4} x"
    assert await ground.ask(one.sandbox, two.endpoint.ipv4, 80, seconds=0.3) == ""
    assert (await ground.ask(one.sandbox, HOST4, 8081)).startswith("two ")
    await controller.dismantle()
    await controller.close()
    assert await ground.ask(ground.client, HOST4, 8080) == f"one {CLIENT4} x"
    assert "5ec0d000" not in run("nft", "list", "ruleset") + run("iptables", "-S") + run("ip", "link")


async def test_at_the_same_moment_they_take_different_subnets(ground: Ground, tmp_path: Path) -> None:
    """Each looks for what is free before the other has it."""
    configs = [
        NetworkConfig(instance=f"5ec0d00{n}", exec_root=tmp_path / str(n), bridge=f"many{n}")
        for n in range(3)
    ]
    controllers = await asyncio.gather(*map(Controller.open, configs))
    for name in ("one", "two", "three", "four"):
        await asyncio.gather(*(each.create_network(asked(name)) for each in controllers))
    subnets = [subnet for each in controllers for info in each.networks() for subnet in info.subnets]
    assert len(subnets) == 3 * (1 + 4 * 2)
    for one, other in itertools.combinations(map(ip_network, subnets), 2):
        assert not overlap(one, other)
    for each in controllers:
        await each.dismantle()
        await each.close()
    assert "many" not in run("ip", "link")
    assert "172." not in run("ip", "route")


def asked(name: str) -> NetworkInfo:
    return NetworkInfo(
        name=name,
        id=secrets.token_hex(32),
        driver="bridge",
        created=datetime.now(UTC),
        enable_ipv6=True,
        options={"com.docker.network.bridge.name": f"many-{secrets.token_hex(4)}"},
    )


async def test_one_is_killed_and_comes_back_while_the_other_works(
    ground: Ground, start: Start, tmp_path: Path
) -> None:
    config = second(tmp_path)
    other = Daemon(ground, config, count=1, first=9000)
    await start("one", [tcp(8080)])
    other.kill()
    controller = await Controller.open(config)
    await controller.reconcile(set())
    assert await ground.ask(ground.client, HOST4, 8080) == f"one {CLIENT4} x"
    assert await ground.ask(ground.client, HOST4, 9000, seconds=0.3) == ""
    await controller.dismantle()
    await controller.close()
    os.kill(other.containers[0].pid, signal.SIGKILL)


async def test_a_port_of_the_other_is_in_use(ground: Ground, start: Start, tmp_path: Path) -> None:
    await start("one", [tcp(8080)])
    controller = await Controller.open(second(tmp_path))
    with pytest.raises(
        errdefs.SystemFailure, match=r"listen tcp4 0\.0\.0\.0:8080: bind: address already in use"
    ):
        await starter(ground, controller)("two", [tcp(8080)], serve=False)
    await controller.dismantle()
    await controller.close()


async def test_the_same_bridge_is_refused(controller: Controller, tmp_path: Path) -> None:
    with pytest.raises(errdefs.Conflict, match="bridge wherry0 is used by another wherryd"):
        await Controller.open(second(tmp_path, bridge="wherry0"))


async def test_a_bridge_that_was_there_is_used_and_stays(ground: Ground, tmp_path: Path) -> None:
    run("ip", "link", "add", "br7", "type", "bridge")
    run("ip", "address", "add", "10.7.0.1/24", "dev", "br7")
    controller = await Controller.open(second(tmp_path, bridge="br7"))
    await controller.reconcile(set())
    web = await starter(ground, controller)("web", [tcp(8080)])
    assert (web.endpoint.ipv4, web.endpoint.gateway) == ("10.7.0.2", "10.7.0.1")
    assert await ground.ask(ground.client, HOST4, 8080) == f"web {CLIENT4} x"
    await controller.dismantle()
    await controller.close()
    assert "10.7.0.1/24" in run("ip", "address", "show", "br7")
    with pytest.raises(errdefs.InvalidArgument, match="bridge br7 has the address"):
        await Controller.open(second(tmp_path, bridge="br7", bip="10.8.0.1/24"))
    with pytest.raises(errdefs.InvalidArgument, match="out0 is not a bridge"):
        await Controller.open(second(tmp_path, bridge="out0"))


async def test_bip_and_a_changed_bip(ground: Ground, tmp_path: Path) -> None:
    for bip, first in (("10.8.0.1/24", "10.8.0.2"), ("10.9.0.1/24", "10.9.0.2"), (None, "10.9.0.2")):
        controller = await Controller.open(second(tmp_path, bip=bip))
        web = await starter(ground, controller)("web", serve=False)
        assert web.endpoint.ipv4 == first
        await controller.release("web")
        await controller.close()
    assert "10.8.0.1" not in run("ip", "address")


async def test_a_subnet_that_the_host_routes_is_not_taken(ground: Ground, tmp_path: Path) -> None:
    run("ip", "route", "add", "172.16.0.0/15", "via", CLIENT4)
    controller = await Controller.open(second(tmp_path))
    assert controller.networks()[0].subnets == ("172.18.0.0/16",)
    await controller.dismantle()
    await controller.close()


@pytest.mark.parametrize("variant", ["iptables-nft", "iptables-legacy"])
async def test_a_forward_policy_that_drops_lets_containers_through(
    ground: Ground, config: NetworkConfig, variant: str
) -> None:
    run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    run(variant, "-w", "-P", "FORWARD", "DROP")
    controller = await Controller.open(config)
    await controller.reconcile(set())
    ground.serve(ground.client, "outside", port=9000)
    web = await starter(ground, controller)("web", [tcp(8080)])
    assert await ground.ask(ground.client, HOST4, 8080) == f"web {CLIENT4} x"
    assert await ground.ask(web.sandbox, CLIENT4, 9000) == f"outside {HOST4} x"
    await controller.dismantle()
    await controller.close()
    assert run(variant, "-w", "-S", "FORWARD") == "-P FORWARD DROP\n"


async def test_where_nothing_drops_iptables_is_left_alone(ground: Ground, config: NetworkConfig) -> None:
    run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    controller = await Controller.open(config)
    await controller.reconcile(set())
    await starter(ground, controller)("web", [tcp(8080)])
    assert await ground.ask(ground.client, HOST4, 8080) == f"web {CLIENT4} x"
    assert "table ip filter" not in run("nft", "list", "ruleset")
    await controller.dismantle()
    await controller.close()


async def test_the_host_does_not_become_a_router_for_others(ground: Ground, controller: Controller) -> None:
    """Forwarding was off before: what has nothing to do with containers is not passed on."""
    assert run("sysctl", "-n", "net.ipv4.ip_forward") == "1\n"
    third = netns.create(lambda: None)
    try:
        run(
            "ip",
            "link",
            "add",
            "th0",
            "type",
            "veth",
            "peer",
            "name",
            "in0",
            "netns",
            f"/proc/{os.getpid()}/fd/{third}",
        )
        run("ip", "address", "add", "203.0.113.1/24", "dev", "th0")
        run("ip", "link", "set", "th0", "up")
        netns.inside(third, _third)
        server = ground.serve(third, "third", port=9000)
        assert await ground.ask(ground.host, "203.0.113.9", 9000) == "third 203.0.113.1 x"
        assert await ground.ask(ground.client, "203.0.113.9", 9000, seconds=0.4) == ""
        server.close()
    finally:
        os.close(third)


def _third() -> None:
    run("ip", "address", "add", "203.0.113.9/24", "dev", "in0")
    run("ip", "link", "set", "in0", "up")
    run("ip", "route", "add", "default", "via", "203.0.113.1")
