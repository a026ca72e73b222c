"""Where ports are held and where they lead, for what is asked and the networks that lead out."""

from ipaddress import ip_network

import pytest
from msgspec.structs import replace

import errdefs
from network.endpoint import Endpoint
from network.exposure import again
from network.nftables.bridge import Bridge
from network.port_groups import Side, Sides, group
from network.ports import Group, PortBinding, PortRequest

ENDPOINT = Endpoint(
    id="e" * 64, name="web", container_id="c", sandbox_id="s", network_id="n" * 64, network="net"
)
BRIDGE = Bridge(name="br0", network_id="n" * 64, subnets=(ip_network("10.0.0.0/24"),))


def sides(bridge: Bridge = BRIDGE) -> Sides:
    return Sides(
        Side(ENDPOINT, "10.0.0.2", bridge, "ipv4"),
        Side(ENDPOINT, "fd00::2", bridge, "ipv6"),
    )


def port(port: int, start: int = 0, end: int = 0, host_ip: str = "") -> PortRequest:
    return PortRequest(
        proto="tcp",
        container_port=port,
        host_ip=host_ip,
        host_port_start=start,
        host_port_end=end or start,
    )


def test_exact_ports_are_given_before_ranges_and_ephemeral_ones() -> None:
    wanted = [port(80), port(80, 8000, 8010), port(81, 8000), port(79, 8001)]
    assert [(each.container_port, each.start, each.end) for each in group(wanted, sides())] == [
        (79, 8001, 8001),
        (81, 8000, 8000),
        (80, 0, 0),
        (80, 8000, 8010),
    ]


def test_what_differs_in_the_hosts_address_alone_gets_one_port() -> None:
    wanted = [port(80, host_ip="::1"), port(80, host_ip="127.0.0.1"), port(80, host_ip="127.0.0.1")]
    assert group(wanted, sides()) == [
        Group("tcp", 80, 0, 0, ("127.0.0.1", "::1")),
        Group("tcp", 80, 0, 0, ("127.0.0.1",)),
    ]


@pytest.mark.parametrize(
    ("binding", "addresses"),
    [
        ("", ("0.0.0.0", "::")),
        ("0.0.0.0", ("0.0.0.0", "::")),
        ("127.0.0.1", ("127.0.0.1",)),
        ("::", ("::",)),
        ("2001:db8::2", ("2001:db8::2",)),
    ],
)
def test_without_an_address_the_networks_binding_counts(binding: str, addresses: tuple[str, ...]) -> None:
    bound = sides(replace(BRIDGE, host_binding=binding))
    assert [each.addresses for each in group([port(80, 80)], bound)] == [addresses]
    named = group([port(80, 80, host_ip="192.0.2.2")], bound)
    assert [each.addresses for each in named] == [("192.0.2.2",)]


def test_a_routed_family_has_no_port_of_the_host() -> None:
    routed = sides(replace(BRIDGE, mode6="routed"))
    assert group([port(80, 80)], routed) == [Group("tcp", 80, 80, 80, ("0.0.0.0",), ("::",))]
    assert group([port(80, 80, host_ip="2001:db8::2")], routed) == [Group("tcp", 80, 80, 80, (), ("::",))]


def test_a_family_that_leads_nowhere_is_left_out() -> None:
    assert group([port(80, 80)], Sides()) == []
    assert group([port(80, 80, host_ip="::1")], replace(sides(), ipv6=None)) == []
    assert group([port(80, 80)], replace(sides(), ipv6=None)) == [Group("tcp", 80, 80, 80, ("0.0.0.0",))]


def test_a_mapped_address_is_the_ipv4_one() -> None:
    assert group([port(80, 80, host_ip="::ffff:127.0.0.1")], sides())[0].addresses == ("127.0.0.1",)


@pytest.mark.parametrize("wanted", [port(0), port(65536), port(80, 65536), port(80, host_ip="x")])
def test_nonsense(wanted: PortRequest) -> None:
    with pytest.raises(errdefs.InvalidArgument):
        group([wanted], sides())


def test_ports_that_were_given_are_asked_for_again() -> None:
    given = [
        PortBinding(proto="tcp", container_port=80, host_ip=address, host_port=number)
        for number in (32768, 32769)
        for address in ("0.0.0.0", "::")
    ]
    wanted = [port(80), port(80), port(80), port(81)]
    assert [each.host_port_start for each in again(wanted, given)] == [32768, 32769, 0, 0]
    assert again([port(80, 40000, 40010)], given) == [port(80, 40000, 40010)]
    assert again([port(80, 32000, 33000, "::")], given) == [port(80, 32768, host_ip="::")]
