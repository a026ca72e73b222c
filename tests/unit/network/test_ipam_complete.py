"""From what a network asks for to the subnets that it gets: dockerd's choices and texts."""

from ipaddress import ip_address, ip_network

import pytest

import errdefs
from network.drivers.driver import Pool
from network.ipam import pools
from network.ipam.complete import Host, complete
from network.ipam.pools import AddressPool
from network.ipam.subnet import Network

EMPTY = Host(networks=())
WITH_IPV6 = pools.complete_pools((), "host")
OVERLAP = "invalid pool request: Pool overlaps with other one on this address space"


def asked(*wanted: Pool, host: Host = EMPTY, ipv4: bool = True, ipv6: bool = False) -> tuple[Pool, ...]:
    return complete(wanted, host, WITH_IPV6, enable_ipv4=ipv4, enable_ipv6=ipv6)


def refusal(*wanted: Pool, host: Host = EMPTY, ipv6: bool = False) -> str:
    with pytest.raises(errdefs.WherryError) as caught:
        asked(*wanted, host=host, ipv6=ipv6)
    return caught.value.message


def nets(*texts: str) -> list[Network]:
    return [ip_network(each) for each in texts]


def test_one_of_the_default_pools_for_each_family() -> None:
    assert asked() == (Pool(subnet="172.17.0.0/16", gateway="172.17.0.1"),)
    ipv4, ipv6 = asked(ipv6=True)
    assert ipv4.subnet == "172.17.0.0/16"
    assert ip_network(ipv6.subnet).prefixlen == 64
    assert ip_address(ipv6.gateway) == ip_network(ipv6.subnet)[1]
    assert asked(ipv4=False, ipv6=True) == (ipv6,)
    assert asked(ipv4=False) == ()


def test_what_other_networks_and_the_host_use_is_not_chosen() -> None:
    host = Host(
        networks=[("a", ["172.17.0.0/16", "fd00::/8"]), ("b", ["172.18.4.0/24"])],
        routes=nets("0.0.0.0/0", "172.19.128.0/17", "::/0"),
        nameservers=[ip_address("172.20.0.53"), ip_address("fd00::53")],
    )
    assert asked(host=host)[0].subnet == "172.21.0.0/16"


def test_a_second_subnet_of_the_same_size_request_is_another() -> None:
    assert [each.subnet for each in asked(Pool(subnet="0.0.0.0/24"), Pool(subnet="0.0.0.0/24"))] == [
        *("172.17.0.0/24", "172.17.1.0/24")
    ]
    assert asked(Pool(subnet="0.0.0.0/24"), Pool(subnet="172.17.0.0/25"))[0].subnet == "172.17.1.0/24"
    assert asked(Pool(subnet="::/72"), ipv4=False, ipv6=True)[0].subnet.endswith("/72")


def test_what_is_asked_for_is_kept() -> None:
    full = Pool(
        subnet="10.9.0.0/24", ip_range="10.9.0.128/25", gateway="10.9.0.2", aux_addresses={"a": "10.9.0.7"}
    )
    assert asked(full) == (full,)
    ipv6 = Pool(subnet="fd01::/64", gateway="fd01::99")
    assert asked(ipv6, full, ipv6=True) == (full, ipv6)


@pytest.mark.parametrize(
    ("pool", "gateway"),
    [
        (Pool(subnet="10.9.0.0/24"), "10.9.0.1"),
        (Pool(subnet="10.9.0.0/24", ip_range="10.9.0.128/25"), "10.9.0.128"),
        (Pool(subnet="10.9.0.0/24", ip_range="10.9.0.0/30"), "10.9.0.1"),
        (Pool(subnet="10.9.0.0/24", ip_range="10.9.0.252/30"), "10.9.0.252"),
        (Pool(subnet="10.9.0.0/31"), "10.9.0.0"),
        (Pool(subnet="10.9.0.0/32"), "10.9.0.0"),
        (Pool(subnet="fd00::/127"), "fd00::1"),
        (Pool(subnet="2000::/3"), "2000::1"),
    ],
)
def test_the_gateway_is_the_lowest_address(pool: Pool, gateway: str) -> None:
    assert asked(pool, ipv6=True, ipv4=":" not in pool.subnet)[0].gateway == gateway


def test_ipv6_subnets_without_ipv6_are_passed_over() -> None:
    assert asked(Pool(subnet="fd01::/64"), Pool(subnet="fd01::1/64")) == asked()


@pytest.mark.parametrize(
    ("pool", "text"),
    [
        (Pool(), "invalid subnet : invalid CIDR block notation"),
        (Pool(gateway="10.9.0.1"), "invalid subnet : invalid CIDR block notation"),
        (Pool(subnet="x"), "invalid subnet x: invalid CIDR block notation"),
        (Pool(subnet="10.9.0.0"), "invalid subnet 10.9.0.0: invalid CIDR block notation"),
        (Pool(subnet="10.9.0.0/33"), "invalid subnet 10.9.0.0/33: invalid CIDR block notation"),
        (Pool(subnet="10.9.0.0/024"), "invalid subnet 10.9.0.0/024: invalid CIDR block notation"),
        (
            Pool(subnet="10.9.0.0/255.255.255.0"),
            "invalid subnet 10.9.0.0/255.255.255.0: invalid CIDR block notation",
        ),
        (Pool(subnet=" 10.9.0.0/24"), "invalid subnet  10.9.0.0/24: invalid CIDR block notation"),
        (Pool(subnet="fe80::%1/64"), "invalid subnet fe80::%1/64: invalid CIDR block notation"),
        (Pool(subnet="10.9.0.5/24"), "invalid subnet 10.9.0.5/24: it should be 10.9.0.0/24"),
        (
            Pool(subnet="10.9.0.0/24", gateway="10.9.1.1"),
            "invalid gateway 10.9.1.1: parent subnet 10.9.0.0/24 doesn't contain this address",
        ),
        (
            Pool(subnet="10.9.0.0/24", aux_addresses={"a": "fd00::1"}),
            "invalid auxiliary address a: parent subnet is an IPv4 block",
        ),
        (Pool(subnet="10.9.0.0/24", gateway="x"), "invalid gateway x: invalid address"),
        (
            Pool(subnet="10.9.0.0/24", gateway="fd00::1"),
            "invalid gateway fd00::1: parent subnet is an IPv4 block",
        ),
        (
            Pool(subnet="fd03::/64", gateway="1.2.3.4"),
            "invalid gateway 1.2.3.4: parent subnet is an IPv6 block",
        ),
        (
            Pool(subnet="10.9.0.0/24", ip_range="10.9.0.130/25"),
            "invalid ip-range 10.9.0.130/25: it should be 10.9.0.128/25",
        ),
        (
            Pool(subnet="10.9.0.0/24", ip_range="10.9.1.0/25"),
            "invalid ip-range 10.9.1.0/25: parent subnet 10.9.0.0/24 doesn't contain ip-range",
        ),
        (
            Pool(subnet="10.9.0.0/24", ip_range="10.8.0.0/15"),
            "invalid ip-range 10.8.0.0/15: CIDR block is bigger than its parent subnet 10.9.0.0/24",
        ),
        (
            Pool(subnet="10.9.0.0/24", ip_range="fd00::/80"),
            "invalid ip-range fd00::/80: parent subnet is an IPv4 block",
        ),
        (
            Pool(subnet="10.9.0.0/24", ip_range="10.9.0.128"),
            "invalid ip-range 10.9.0.128: invalid CIDR block notation",
        ),
        (
            Pool(subnet="10.9.0.0/24", aux_addresses={"a": "10.9.1.1"}),
            "invalid auxiliary address a: parent subnet 10.9.0.0/24 doesn't contain this address",
        ),
        (Pool(subnet="10.9.0.0/24", aux_addresses={"a": ""}), "invalid auxiliary address a: invalid address"),
    ],
)
def test_what_is_wrong_is_told_as_dockerd_tells_it(pool: Pool, text: str) -> None:
    assert refusal(pool, ipv6=True) == f"invalid network config:\n{text}"


def test_all_that_is_wrong_is_told_at_once() -> None:
    bad = Pool(subnet="10.9.0.0/24", gateway="10.8.0.1", ip_range="x", aux_addresses={"b": "q", "a": "r"})
    inexact = Pool(subnet="10.7.0.9/24", gateway="10.8.0.1")
    assert refusal(Pool(subnet="x"), inexact, bad).splitlines() == [
        "invalid network config:",
        "* invalid subnet x: invalid CIDR block notation",
        "* invalid subnet 10.7.0.9/24: it should be 10.7.0.0/24",
        "* invalid gateway 10.8.0.1: parent subnet 10.7.0.9/24 doesn't contain this address",
        "* invalid ip-range x: invalid CIDR block notation",
        "* invalid gateway 10.8.0.1: parent subnet 10.9.0.0/24 doesn't contain this address",
        "* invalid auxiliary address a: invalid address",
        "* invalid auxiliary address b: invalid address",
    ]


@pytest.mark.parametrize(
    ("pool", "text"),
    [
        (Pool(gateway="10.9.0.0"), "failed to allocate gateway (10.9.0.0): Address already in use"),
        (Pool(gateway="10.9.0.255"), "failed to allocate gateway (10.9.0.255): Address already in use"),
        (
            Pool(aux_addresses={"a": "10.9.0.1"}),
            "failed to allocate secondary ip address (a:10.9.0.1): Address already in use",
        ),
        (
            Pool(gateway="10.9.0.9", aux_addresses={"a": "10.9.0.9"}),
            "failed to allocate secondary ip address (a:10.9.0.9): Address already in use",
        ),
        (
            Pool(aux_addresses={"a": "10.9.0.7", "b": "10.9.0.7"}),
            "failed to allocate secondary ip address (b:10.9.0.7): Address already in use",
        ),
    ],
)
def test_an_address_has_one_use(pool: Pool, text: str) -> None:
    full = Pool(subnet="10.9.0.0/24", gateway=pool.gateway, aux_addresses=pool.aux_addresses)
    assert refusal(full) == text


def test_no_room_for_a_gateway() -> None:
    text = "failed to allocate gateway (): no available addresses on this pool"
    assert refusal(Pool(subnet="fd00::/128"), ipv6=True) == text


def test_an_overlap_names_the_network() -> None:
    host = Host(networks=[("other", ["10.8.0.0/24"]), ("culprit", ["fd00::/64", "10.9.0.128/25"])])
    assert refusal(Pool(subnet="10.9.0.0/24"), host=host) == (
        f"{OVERLAP}: subnet 10.9.0.0/24 overlaps with 10.9.0.128/25 of network culprit"
    )
    with pytest.raises(errdefs.Forbidden):
        asked(Pool(subnet="10.0.0.0/8"), host=host)
    assert refusal(Pool(subnet="10.1.0.0/24"), Pool(subnet="10.1.0.0/25")) == (
        f"{OVERLAP}: subnet 10.1.0.0/25 overlaps with 10.1.0.0/24 of the same request"
    )


def test_what_is_asked_for_may_overlap_a_route() -> None:
    host = Host(networks=(), routes=nets("10.0.0.0/8"))
    assert asked(Pool(subnet="10.9.0.0/24"), host=host)[0].subnet == "10.9.0.0/24"


def test_exhaustion_names_pools_and_holders_and_what_to_do() -> None:
    held = [(f"n{each:02}", [f"10.0.{each}.0/24"]) for each in range(15)]
    host = Host(networks=[*held, ("elsewhere", ["10.1.0.0/24"])], routes=nets("10.0.15.0/26"))
    with pytest.raises(errdefs.Conflict) as caught:
        complete((), host, [AddressPool(ip_network("10.0.0.0/20"), 24)])
    assert caught.value.message == (
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network:"
        " all of 10.0.0.0/20 in subnets of /24 is held by 15 networks (n00, n01, n02, n03, n04 and 10 more) or is"
        " needed by routes and nameservers of the host. Remove networks that are not in use (docker network prune),"
        ' name a free subnet (--subnet), or give more in "default-address-pools" of daemon.json'
    )


@pytest.mark.parametrize(
    ("pool", "text"),
    [
        (Pool(subnet="0.0.0.0/8"), "invalid address pool: no default address pool has IPv4 subnets of /8"),
        (
            Pool(subnet="0.0.0.0/24", ip_range="0.0.0.0/25"),
            "it can have no ip-range, gateway or auxiliary address",
        ),
    ],
)
def test_a_size_that_cannot_be(pool: Pool, text: str) -> None:
    assert text in refusal(pool)


def test_pools_of_the_other_family_alone() -> None:
    with pytest.raises(errdefs.InvalidArgument, match=r"no default address pool has IPv4 subnets$"):
        complete((), EMPTY, [pools.unique_local("host")])
