"""Bridge networks of users: made, used, restored and removed, with each option, in a host of their own."""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import pytest

import errdefs
from network.controller import Controller, NetworkConfig
from network.drivers.driver import NetworkInfo, Pool
from network.endpoint import Endpoint, EndpointRequest
from network.sandbox import Sandbox
from tests.network.conftest import INSTANCE
from tests.network.ground import CLIENT4, CLIENT6, HOST4, Ground, eventually, run

pytestmark = pytest.mark.root

T = TypeVar("T")

ICC = "com.docker.network.bridge.enable_icc"
MTU = "com.docker.network.driver.mtu"
NAME = "com.docker.network.bridge.name"
MODE4 = "com.docker.network.bridge.gateway_mode_ipv4"
MODE6 = "com.docker.network.bridge.gateway_mode_ipv6"
INHIBIT = "com.docker.network.bridge.inhibit_ipv4"
BINDING = "com.docker.network.bridge.host_binding_ipv4"
PREFIX = "com.docker.network.container_iface_prefix"
V6 = Pool(subnet="fd00:5::/64")


def network(
    name: str = "web",
    *pools: Pool,
    ipv4: bool = True,
    ipv6: bool = False,
    internal: bool = False,
    **options: str,
) -> NetworkInfo:
    return NetworkInfo(
        name=name,
        id=secrets.token_hex(32),
        driver="bridge",
        created=datetime.now(UTC),
        pools=pools,
        enable_ipv4=ipv4,
        enable_ipv6=ipv6,
        internal=internal,
        options=options,
    )


def with_options(asked: NetworkInfo, **options: str) -> NetworkInfo:
    return replace(asked, options=options)


async def join(
    controller: Controller, name: str, network_name: str = "web", **wishes: object
) -> tuple[Sandbox, Endpoint]:
    sandbox = await controller.create_sandbox(name)
    request = EndpointRequest(network=network_name, container_id=name, endpoint_name=name)
    return sandbox, await controller.connect(sandbox, replace(request, **wishes))  # type: ignore[arg-type]


def inside(sandbox: Sandbox, *argv: str) -> str:
    return run("nsenter", f"--net={sandbox.path}", *argv)


def setting(sandbox: Sandbox, name: str) -> str:
    return inside(sandbox, "cat", f"/proc/sys/net/{name}").strip()


def host_setting(name: str) -> str:
    return run("cat", f"/proc/sys/net/{name}").strip()


def kernel() -> list[str]:
    """All that a network can leave."""
    names = (line.split() for line in run("ip", "-br", "link").splitlines())
    return [
        " ".join(sorted(name for name, *_ in names)),
        run("ip", "-o", "address", "show", "scope", "global"),
        " ".join(
            sorted(run("nft", "-s", "list", "table", "inet", f"wherry_{INSTANCE}").replace(",", " ").split())
        ),
    ]


async def test_a_network_is_made_used_and_removed(controller: Controller, ground: Ground) -> None:
    before = kernel()
    asked = network()
    made = await controller.create_network(asked)
    assert made.pools == (Pool(subnet="172.18.0.0/16", gateway="172.18.0.1"),)
    assert made.bridge == f"br-{asked.id[:12]}"
    assert controller.networks()[-1] == made
    assert f"alias wherry:{INSTANCE}" in run("ip", "link", "show", made.bridge)
    assert "inet 172.18.0.1/16 brd 172.18.255.255" in run("ip", "address", "show", made.bridge)
    one, endpoint = await join(controller, "one")
    two, _ = await join(controller, "two")
    assert (endpoint.ipv4, endpoint.gateway, endpoint.mac, endpoint.interface, endpoint.network_id) == (
        "172.18.0.2",
        "172.18.0.1",
        "02:42:ac:12:00:02",
        "eth0",
        asked.id,
    )
    ground.serve(one, "one")
    ground.serve(ground.client, "outside", port=9000)
    assert await ground.ask(two, endpoint.ipv4, 80) == "one 172.18.0.3 x"
    assert await ground.ask(two, CLIENT4, 9000) == f"outside {HOST4} x"
    ground.close_servers()
    for name in ("one", "two"):
        await controller.release(name)
    for _ in range(2):
        await controller.remove_network(asked.id)
    assert await eventually(lambda: kernel() == before)
    assert [each.name for each in controller.networks()] == ["bridge", "host", "none"]
    with pytest.raises(errdefs.NotFound):
        await join(controller, "three")
    await controller.release("three")


async def test_subnets_of_networks_do_not_overlap(controller: Controller) -> None:
    run("ip", "route", "add", "172.19.0.0/16", "via", CLIENT4)
    made = [await controller.create_network(network(name)) for name in ("a", "b")]
    assert [each.subnets for each in made] == [("172.18.0.0/16",), ("172.20.0.0/16",)]
    before = kernel()
    with pytest.raises(errdefs.Forbidden, match=r"172\.18\.5\.0/24 overlaps .* of network a"):
        await controller.create_network(network("c", Pool(subnet="172.18.5.0/24")))
    assert kernel() == before
    await controller.remove_network(made[0].id)
    assert (await controller.create_network(network("c"))).subnets == ("172.18.0.0/16",)


async def test_many_at_once_get_different_subnets(controller: Controller) -> None:
    made = await asyncio.gather(*(controller.create_network(network(f"n{each}")) for each in range(8)))
    assert len({each.subnets for each in made}) == 8
    await asyncio.gather(*(controller.remove_network(each.id) for each in made))
    assert "br-" not in run("ip", "link")


async def test_ipv6(controller: Controller, ground: Ground) -> None:
    made = await controller.create_network(network("web", V6, ipv6=True))
    assert made.pools[1] == Pool(subnet="fd00:5::/64", gateway="fd00:5::1")
    one, first = await join(controller, "one")
    ground.serve(one, "one", address="::")
    two, second = await join(controller, "two", ipv6="fd00:5::99")
    assert (first.ipv6, first.ipv6_prefix_len, first.ipv6_gateway) == ("fd00:5::2", 64, "fd00:5::1")
    assert second.ipv6 == "fd00:5::99"
    assert "tentative" not in inside(two, "ip", "-6", "address", "show", "scope", "global")
    shown = partial(inside, two, "ip", "-6", "address")
    assert await eventually(lambda: "tentative" not in shown(), 0.8), "nobody is asked, which takes a second"
    assert await ground.ask(two, first.ipv6, 80, seconds=0.5) == f"one {second.ipv6} x"
    assert (await ground.ask(ground.host, first.ipv6, 80, seconds=0.5)).startswith("one ")
    assert "default via fd00:5::1" in inside(two, "ip", "-6", "route")


async def test_ipv6_leads_outside(controller: Controller, ground: Ground) -> None:
    await controller.create_network(network("web", V6, ipv6=True))
    sandbox, _ = await join(controller, "one")
    ground.serve(ground.client, "outside", port=9000, address="::")
    assert (await ground.ask(sandbox, CLIENT6, 9000)).startswith("outside ")


async def test_nobody_listens_to_routers_that_containers_play(controller: Controller) -> None:
    """CVE-2020-13401, and the host's side of it."""
    dual = await controller.create_network(network("dual", V6, ipv6=True))
    plain = await controller.create_network(network("plain"))
    for made, disabled in ((dual, "0"), (plain, "1")):
        sandbox, _ = await join(controller, made.name, made.name)
        assert host_setting(f"ipv6/conf/{made.bridge}/accept_ra") == "0"
        assert host_setting(f"ipv6/conf/{made.bridge}/disable_ipv6") == disabled
        assert setting(sandbox, "ipv6/conf/eth0/disable_ipv6") == disabled
        if disabled == "0":
            assert setting(sandbox, "ipv6/conf/eth0/accept_ra") == "0"
        else:
            assert "inet6" not in inside(sandbox, "ip", "address", "show", "eth0")


async def test_ipv6_alone(controller: Controller, ground: Ground) -> None:
    made = await controller.create_network(network("web", V6, ipv4=False, ipv6=True))
    assert made.subnets == ("fd00:5::/64",)
    one, first = await join(controller, "one")
    two, _ = await join(controller, "two")
    assert (first.ipv4, first.gateway, first.mac) == ("", "", "02:42:00:00:00:02")
    assert "inet " not in inside(one, "ip", "address", "show", "eth0")
    assert "inet " not in run("ip", "address", "show", made.bridge)
    ground.serve(one, "one", address="::")
    assert (await ground.ask(two, first.ipv6, 80, seconds=0.5)).startswith("one ")
    with pytest.raises(errdefs.InvalidArgument):
        await join(controller, "three", ipv4="172.18.0.5")


async def test_an_internal_network_leads_nowhere(controller: Controller, ground: Ground) -> None:
    await controller.create_network(network("web", V6, internal=True, ipv6=True))
    one, first = await join(controller, "one")
    two, _ = await join(controller, "two")
    assert (first.gateway, first.ipv6_gateway) == ("", "")
    assert "default" not in inside(one, "ip", "route") + inside(one, "ip", "-6", "route")
    ground.serve(one, "one")
    ground.serve(ground.client, "outside", port=9000)
    assert (await ground.ask(two, first.ipv4, 80)).startswith("one ")
    inside(two, "ip", "route", "add", "default", "via", "172.18.0.1")
    assert await ground.ask(two, CLIENT4, 9000, seconds=0.3) == ""


async def test_options_of_the_device(controller: Controller) -> None:
    asked = with_options(network(), **{NAME: "mine0", MTU: "1400", PREFIX: "net"})
    made = await controller.create_network(asked)
    assert made.bridge == "mine0"
    sandbox, endpoint = await join(controller, "one")
    assert endpoint.interface == "net0"
    assert "mtu 1400" in run("ip", "link", "show", "mine0")
    assert "mtu 1400" in inside(sandbox, "ip", "link", "show", "net0")
    _, named = await join(controller, "two", options={"com.docker.network.endpoint.ifname": "own7"})
    assert named.interface == "own7"
    await controller.release("one")
    await controller.release("two")
    await controller.remove_network(asked.id)
    assert "mine0" not in run("ip", "link")


@pytest.mark.parametrize(
    ("options", "internal", "gateways", "addresses"),
    [
        ({INHIBIT: "true"}, False, ("172.18.0.1", "fd00:5::1"), ["fd00:5::1"]),
        ({INHIBIT: "true"}, True, ("", "fd00:5::1"), ["fd00:5::1"]),
        ({MODE4: "isolated", MODE6: "isolated"}, True, ("", ""), []),
        ({MODE4: "routed", MODE6: "nat-unprotected"}, False, ("172.18.0.1", "fd00:5::1"), ["172.18.0.1", "fd00:5::1"]),
    ],
)  # fmt: skip
async def test_gateways_and_addresses_of_the_bridge(
    controller: Controller,
    options: dict[str, str],
    internal: bool,
    gateways: tuple[str, str],
    addresses: list[str],
) -> None:
    made = await controller.create_network(
        with_options(network("web", V6, ipv6=True, internal=internal), **options)
    )
    assert tuple(pool.gateway for pool in made.pools) == gateways
    shown = run("ip", "-br", "address", "show", made.bridge)
    assert [each for each in ("172.18.0.1", "fd00:5::1") if f" {each}/" in shown] == addresses
    if not addresses:
        assert "fe80" not in shown, "an isolated network does not see the host at all"
    _, endpoint = await join(controller, "one")
    assert endpoint.gateway == ("" if internal else gateways[0])


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (
            ICC,
            "maybe",
            f'failed to parse {ICC} value: maybe (strconv.ParseBool: parsing "maybe": invalid syntax)',
        ),
        (MTU, "big", f'failed to parse {MTU} value: big (strconv.Atoi: parsing "big": invalid syntax)'),
        (MTU, "-5", "invalid MTU number: -5"),
        (MTU, "70000", "invalid MTU number: 70000"),
        (MODE4, "open", f"failed to parse {MODE4} value: open (unknown gateway mode open)"),
        (MODE6, "isolated", "gateway mode 'isolated' can only be used for an internal network"),
        (BINDING, "here", f"failed to parse {BINDING} value: here (nil ip)"),
        (NAME, "a/b", "invalid bridge name: a/b: it has to be the name of an interface"),
        (NAME, "x" * 16, f"invalid bridge name: {'x' * 16}: it has to be the name of an interface"),
        (NAME, "out0", "existing interface out0 is not a bridge"),
    ],
)
async def test_options_that_cannot_be(controller: Controller, name: str, value: str, text: str) -> None:
    before = kernel()
    with pytest.raises(errdefs.InvalidArgument) as caught:
        await controller.create_network(with_options(network(), **{name: value}))
    assert caught.value.message == text
    assert kernel() == before
    assert (await controller.create_network(network())).subnets == ("172.18.0.0/16",)


@pytest.mark.parametrize(
    ("pools", "kind", "text"),
    [
        (("10.1.0.0/16", "10.2.0.0/16"), errdefs.Forbidden, "bridge driver doesn't support multiple subnets"),
        (("fe80::/80",), errdefs.InvalidArgument, "'fe80::/80' clashes with the Link-Local prefix 'fe80::/64'"),
        (("ff05::/64",), errdefs.InvalidArgument, "multicast subnet 'ff05::/64' is not allowed"),
    ],
)  # fmt: skip
async def test_subnets_that_a_bridge_cannot_have(
    controller: Controller, pools: tuple[str, ...], kind: type[errdefs.WherryError], text: str
) -> None:
    before = kernel()
    with pytest.raises(kind) as caught:
        await controller.create_network(network("web", *(Pool(subnet=subnet) for subnet in pools), ipv6=True))
    assert caught.value.message == text
    assert kernel() == before
    await controller.create_network(network("web", Pool(subnet="10.1.0.0/16")))


async def test_a_bridge_of_somebody_else_is_used_and_stays(controller: Controller, ground: Ground) -> None:
    run("ip", "link", "add", "theirs0", "type", "bridge")
    run("ip", "address", "add", "10.77.0.1/24", "dev", "theirs0")
    asked = with_options(network("web", Pool(subnet="10.5.0.0/24")), **{NAME: "theirs0"})
    await controller.create_network(asked)
    shown = run("ip", "address", "show", "theirs0")
    assert "10.77.0.1/24" in shown
    assert "10.5.0.1/24" in shown
    one, endpoint = await join(controller, "one")
    ground.serve(one, "one")
    assert (await ground.ask(ground.host, endpoint.ipv4, 80)).startswith("one ")
    with pytest.raises(errdefs.Forbidden, match="networks have same bridge name"):
        await controller.create_network(with_options(network("other"), **{NAME: "theirs0"}))
    await controller.release("one")
    await controller.remove_network(asked.id)
    assert "10.77.0.1/24" in run("ip", "address", "show", "theirs0")
    await controller.create_network(with_options(network("again"), **{NAME: "theirs0"}))


async def test_a_connect_that_fails_leaves_nothing(controller: Controller) -> None:
    await controller.create_network(network("web", Pool(subnet="10.5.0.0/29"), V6, ipv6=True))
    before = kernel()
    sandbox = await controller.create_sandbox("one")
    request = EndpointRequest(network="web", container_id="one", endpoint_name="one")
    wrong = (
        ({"options": {"com.docker.network.endpoint.ifname": "lo"}}, errdefs.SystemFailure),
        ({"mac": "01:00:5e:00:00:01"}, errdefs.InvalidArgument),
        ({"ipv6": "fd00:5::1"}, errdefs.Forbidden),
        ({"ipv6": "fd00:6::1"}, errdefs.InvalidArgument),
        ({"sysctls": {"net.ipv4.conf.IFNAME.nonsense": "1"}}, errdefs.InvalidArgument),
        ({"sysctls": {"net.ipv4.conf.IFNAME./../../../kernel/hostname": "x"}}, errdefs.InvalidArgument),
    )
    for wishes, kind in wrong:
        for _ in range(7):  # more often than there are addresses
            with pytest.raises(kind):
                await controller.connect(sandbox, replace(request, **wishes))
        assert kernel() == before
    assert "eth0" not in inside(sandbox, "ip", "link")
    assert (await controller.connect(sandbox, request)).ipv4 == "10.5.0.2"


@pytest.mark.parametrize("turns", [0, 1, 3, 6, 20])
async def test_a_cancelled_caller_leaves_nothing(controller: Controller, turns: int) -> None:
    before = kernel()
    gone = await _cancelled(controller.create_network(network("gone")), turns)
    if gone is not None:  # the machine was slow: it was made before
        await controller.remove_network(gone.id)
    assert kernel() == before
    made = await controller.create_network(network())
    before = kernel()
    sandbox = await controller.create_sandbox("one")
    request = EndpointRequest(network="web", container_id="one", endpoint_name="one")
    left = await _cancelled(controller.connect(sandbox, request), turns)
    if left is not None:
        await controller.disconnect("one", left)
    assert kernel() == before
    assert "eth0" not in inside(sandbox, "ip", "link")
    endpoint = await controller.connect(sandbox, request)
    assert (endpoint.ipv4, endpoint.interface) == ("172.18.0.2", "eth0")
    await _cancelled(controller.release("one"), turns)
    await controller.release("one")
    await _cancelled(controller.remove_network(made.id), turns)
    await controller.remove_network(made.id)
    assert await eventually(lambda: not any(name[:3] in ("br-", "vet") for _, name in socket.if_nameindex()))


async def _cancelled(work: Coroutine[Any, Any, T], turns: int) -> T | None:
    """What it returned if it ended before it could be cancelled."""
    task = asyncio.get_running_loop().create_task(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        return await task
    return None


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
