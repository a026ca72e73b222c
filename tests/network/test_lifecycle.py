"""Sandboxes and endpoints: both ways to a namespace, addresses, and nothing left afterwards."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

import errdefs
from network.controller import Controller, NetworkConfig
from network.drivers.default_bridge import DefaultBridge
from network.endpoint import EndpointRequest
from tests.network.conftest import Start, tcp, udp
from tests.network.ground import CLIENT4, HOST4, Ground, eventually, run

pytestmark = pytest.mark.root


def request(name: str, network: str = "bridge", ipv4: str | None = None) -> EndpointRequest:
    return EndpointRequest(network=network, container_id=name, endpoint_name=name, ipv4=ipv4)


async def test_addresses_are_the_lowest_free_ones(start: Start, controller: Controller) -> None:
    given = [(await start(name, serve=False)).endpoint for name in "abc"]
    assert [(each.ipv4, each.mac) for each in given] == [
        ("172.17.0.2", "02:42:ac:11:00:02"),
        ("172.17.0.3", "02:42:ac:11:00:03"),
        ("172.17.0.4", "02:42:ac:11:00:04"),
    ]
    await controller.release("b")
    assert (await start("d", serve=False)).endpoint.ipv4 == "172.17.0.3"


async def test_a_taken_address_is_refused_and_nothing_is_left(controller: Controller) -> None:
    await controller.connect(await controller.create_sandbox("one"), request("one", ipv4="172.17.0.9"))
    sandbox = await controller.create_sandbox("two")
    with pytest.raises(errdefs.Forbidden, match="Address already in use"):
        await controller.connect(sandbox, request("two", ipv4="172.17.0.9"))
    with pytest.raises(errdefs.InvalidArgument):
        await controller.connect(sandbox, request("two", ipv4="10.0.0.1"))
    assert veths() == 1


async def test_a_mac_that_is_asked_for(controller: Controller) -> None:
    for number, mac in enumerate(("02:00:00:00:00:07", "zz:00:00:00:00:00", "02:00")):
        name = str(number)
        asked = EndpointRequest(network="bridge", container_id=name, endpoint_name=name, mac=mac)
        sandbox = await controller.create_sandbox(name)
        if number == 0:
            await controller.connect(sandbox, asked)
            assert mac in run("nsenter", f"--net={sandbox.path}", "ip", "link")
            continue
        with pytest.raises(errdefs.InvalidArgument, match="invalid MAC address"):
            await controller.connect(sandbox, asked)


@pytest.mark.parametrize(
    "namespaces", [["-n"], ["--user", "--map-root-user", "-n"]], ids=["root", "user namespace"]
)
async def test_a_namespace_made_by_another(
    controller: Controller, ground: Ground, namespaces: list[str]
) -> None:
    """The way with a user namespace: runc makes it, we configure it through the process."""
    process = ground.spawn("unshare", *namespaces, "sh", "-c", "echo; exec cat")
    assert process.stdout is not None
    process.stdout.readline()
    sandbox = await controller.create_sandbox("made", pid=process.pid)
    await controller.connect(sandbox, request("made"))
    ground.serve(sandbox, "made")
    await controller.publish("made", [tcp(8080)])
    assert await ground.ask(ground.client, HOST4, 8080) == f"made {CLIENT4} x"
    assert "lo               UNKNOWN        127.0.0.1/8" in run(
        "nsenter", "-t", str(process.pid), "-n", "ip", "-br", "addr"
    )
    await controller.release("made")


async def test_the_path_of_a_sandbox_is_its_namespace(controller: Controller) -> None:
    sandbox = await controller.create_sandbox("box")
    assert os.stat(sandbox.path).st_ino == os.fstat(sandbox.fd).st_ino == os.stat(sandbox.key).st_ino
    assert not os.get_inheritable(sandbox.fd)
    with pytest.raises(errdefs.Conflict):
        await controller.create_sandbox("box")
    await controller.release("box")
    assert not sandbox.key.is_symlink()


async def test_host_and_none(controller: Controller, ground: Ground) -> None:
    host = await controller.create_sandbox("host", host=True)
    endpoint = await controller.connect(host, request("host", "host"))
    assert (endpoint.ipv4, endpoint.network, len(endpoint.id)) == ("", "host", 64)
    assert await controller.publish("host", [tcp(8080)]) == []
    none = await controller.create_sandbox("none")
    await controller.connect(none, request("none", "none"))
    ground.serve(none, "none")
    assert await ground.ask(none, "127.0.0.1", 80) == "none 127.0.0.1 x"
    assert await ground.ask(none, HOST4, 80, seconds=0.3) == ""
    with pytest.raises(errdefs.NotFound):
        await controller.connect(none, request("none", "nothing"))
    await controller.release("host")
    await controller.release("none")


async def test_nothing_is_left_after_release(start: Start, controller: Controller, ground: Ground) -> None:
    before, fds = kernel(), descriptors()
    await start("one", [tcp(0), udp(0), tcp(0, host_ip="127.0.0.1")])
    two = await start("two", [tcp(0), udp(0)])
    ports = run("ss", "-Hltun")
    assert ports
    for datagrams in (False, True):
        assert (await ground.ask(ground.client, HOST4, 32768, udp=datagrams)).startswith("one ")
    ground.serve(ground.client, "outside", port=9000)
    for datagrams in (False, True):
        assert (await ground.ask(two.sandbox, CLIENT4, 9000, udp=datagrams)).startswith("outside ")
    assert len(kernel()) > len(before) + 4
    ground.close_servers()
    for name in ("one", "two", "one"):
        await controller.release(name)
    await eventually(lambda: kernel() == before)
    assert kernel() == before
    assert descriptors() == fds
    assert await start("next", serve=False)


async def test_a_shared_namespace_that_stays_is_taken_off_the_network(
    start: Start, controller: Controller, ground: Ground
) -> None:
    """Another container shares it: its address may be given again at once, and the interface goes soon."""
    one = await start("one")
    assert (await ground.ask(ground.host, one.endpoint.ipv4, 80)).startswith("one ")
    held = os.dup(one.sandbox.fd)
    try:
        await controller.release("one")
        shared = next(name for _, name in socket.if_nameindex() if name.startswith("veth"))
        two = await start("two")
        assert two.endpoint.ipv4 == one.endpoint.ipv4
        run("bridge", "link", "set", "dev", shared, "state", "3")  # as a late carrier event does
        for _ in range(30):
            assert (await ground.ask(ground.host, two.endpoint.ipv4, 80)).startswith("two ")
        assert await eventually(lambda: veths() == 1)
    finally:
        os.close(held)


async def test_a_flow_of_a_stopped_container_does_not_reach_its_successor(
    start: Start, controller: Controller, ground: Ground
) -> None:
    await start("one", [udp(8080)])
    with _from_client(ground) as client:
        assert (await ask(client)).startswith("one ")
        await controller.release("one")
        two = await start("two")
        assert two.endpoint.ipv4 == "172.17.0.2"
        assert await ask(client, 0.4) == ""


async def test_a_flow_that_is_older_than_the_port_meets_it(start: Start, ground: Ground) -> None:
    with _from_client(ground) as client:
        assert await ask(client, 0.3) == ""
        await start("web", [udp(8080)])
        assert await ask(client) == f"web {CLIENT4} x", "by nft, not by the proxy"


async def test_many_at_once(start: Start, controller: Controller) -> None:
    containers = await asyncio.gather(*(start(f"c{each}", [tcp(0)], serve=False) for each in range(20)))
    assert len({each.endpoint.ipv4 for each in containers}) == 20
    assert len({each.bindings[0].host_port for each in containers}) == 20
    await asyncio.gather(*(controller.release(each.id) for each in containers))
    assert await eventually(lambda: veths() == 0)


async def test_a_cancelled_caller_leaves_nothing(controller: Controller) -> None:
    fds = descriptors()
    task = asyncio.get_running_loop().create_task(controller.create_sandbox("box"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await controller.create_sandbox("box")
    await controller.release("box")
    assert descriptors() == fds


async def test_the_networks_that_are_shown(controller: Controller) -> None:
    shown = {each.name: each for each in controller.networks()}
    assert list(shown) == ["bridge", "host", "none"]
    assert shown["bridge"].subnets == ("172.17.0.0/16",)
    assert shown["bridge"].gateway == "172.17.0.1"
    assert shown["bridge"].options["com.docker.network.bridge.name"] == "wherry0"
    assert [each.driver for each in shown.values()] == ["bridge", "host", "null"]


@pytest.mark.parametrize(
    ("bridge", "bip"),
    [("", None), ("a/b", None), ("a b", None), ("x" * 16, None), ("b0", "10.0.0.0/24")],
)
async def test_bad_settings_are_refused(ground: Ground, tmp_path: Path, bridge: str, bip: str | None) -> None:
    before = kernel()
    with pytest.raises(errdefs.InvalidArgument):
        await Controller.open(
            NetworkConfig(
                instance="0badcafe",
                exec_root=tmp_path,
                bridge=bridge,
                default_bridge=DefaultBridge(bip=bip or ""),
            )
        )
    assert [each for each in kernel() if "b0" in each] == [each for each in before if "b0" in each]


def veths() -> int:
    return sum(name.startswith("veth") for _, name in socket.if_nameindex())


def kernel() -> list[str]:
    flows = run("conntrack", "-L", check=False).splitlines()
    conntrack = [
        line for line in flows if "172.17.0." in line and "dst=224." not in line
    ]  # IGMP is the bridge's
    names = sorted(name for _, name in socket.if_nameindex())
    return [*names, run("nft", "-s", "list", "ruleset"), run("ss", "-Hltun"), *conntrack]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _from_client(ground: Ground) -> socket.socket:
    from network import netns

    def make() -> socket.socket:
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.connect((HOST4, 8080))
        return client

    return netns.inside(ground.client, make)


async def ask(client: socket.socket, seconds: float = 10) -> str:
    def one() -> str:
        client.settimeout(seconds)
        for _ in range(3):
            try:
                client.send(b"x")
                return client.recv(100).decode()
            except ConnectionRefusedError:
                continue
            except TimeoutError:
                return ""
        return ""

    return await asyncio.to_thread(one)
