"""Options and subnets of bridge networks: what they do, and those that cannot be."""

import pytest

import errdefs
from network.controller import Controller
from network.drivers.driver import Pool
from tests.network.bridged import (
    BINDING,
    ICC,
    INHIBIT,
    MODE4,
    MODE6,
    MTU,
    NAME,
    PREFIX,
    V6,
    inside,
    join,
    kernel,
    network,
    with_options,
)
from tests.network.ground import run

pytestmark = pytest.mark.root


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
