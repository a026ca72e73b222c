"""Addresses are given as Docker gives them: never twice, never outside, and again when they are free."""

from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

import errdefs
from network.drivers.driver import NetworkInfo, Pool
from network.ipam.leases import Lease, Leases, Usage, Version
from network.ipam.subnet import Address, Network, Subnet

SMALL = Pool(subnet="10.0.0.0/29", gateway="10.0.0.1")


def leases(*pools: Pool) -> Leases:
    return Leases(NetworkInfo(name="net", id="f00", driver="bridge", created=datetime.now(UTC), pools=pools))


def taken(of: Leases, count: int, version: Version = 4) -> list[str]:
    return [of.take(version).address for _ in range(count)]


def test_the_lowest_free_one_and_again_after_free() -> None:
    small = leases(SMALL)
    assert taken(small, 3) == ["10.0.0.2", "10.0.0.3", "10.0.0.4"]
    small.free("10.0.0.3")
    assert taken(small, 2) == ["10.0.0.3", "10.0.0.5"]


def test_a_lease_tells_prefix_and_gateway() -> None:
    both = leases(SMALL, Pool(subnet="fd01::/64", gateway="fd01::9"))
    assert both.take(4) == Lease("10.0.0.2", 29, "10.0.0.1")
    assert both.take(6) == Lease("fd01::1", 64, "fd01::9")
    assert leases(Pool(subnet="10.0.0.0/24")).take(4) == Lease("10.0.0.1", 24, "")


def test_exhaustion_names_the_network() -> None:
    small = leases(SMALL, Pool(subnet="fd01::/127", gateway="fd01::1"))
    taken(small, 5)
    for version in (4, 6):
        text = rf"no available IPv{version} addresses on this network's address pools: net \(f00\)"
        with pytest.raises(errdefs.Conflict, match=text):
            small.take(version)
    small.free("10.0.0.6")
    assert small.take(4).address == "10.0.0.6"


def test_a_family_without_subnet() -> None:
    small = leases(SMALL)
    assert small.serves(4)
    assert not small.serves(6)
    with pytest.raises(errdefs.Conflict, match="no available IPv6"):
        small.take(6)


def test_the_next_subnet_when_one_is_full() -> None:
    two = leases(
        Pool(subnet="10.0.0.0/30", gateway="10.0.0.1"), Pool(subnet="10.1.0.0/29", gateway="10.1.0.1")
    )
    assert taken(two, 2) == ["10.0.0.2", "10.1.0.2"]
    assert two.take(4, "10.1.0.5") == Lease("10.1.0.5", 29, "10.1.0.1")


def test_the_range_bounds_what_is_chosen_and_not_what_is_wanted() -> None:
    ranged = leases(
        Pool(
            subnet="10.0.0.0/24",
            ip_range="10.0.0.128/30",
            gateway="10.0.0.128",
            aux_addresses={"a": "10.0.0.130"},
        )
    )
    assert taken(ranged, 2) == ["10.0.0.129", "10.0.0.131"]
    assert ranged.take(4, "10.0.0.5").address == "10.0.0.5"
    ranged.free("10.0.0.5")
    with pytest.raises(errdefs.Conflict):
        ranged.take(4)


def test_a_link_of_two_has_both_addresses() -> None:
    assert taken(leases(Pool(subnet="10.0.0.0/31", gateway="10.0.0.0")), 1) == ["10.0.0.1"]


@pytest.mark.parametrize("fixed", ["10.0.0.0", "10.0.0.1", "10.0.0.7", "10.0.0.5"])
def test_what_is_kept_back_is_never_given(fixed: str) -> None:
    small = leases(Pool(subnet="10.0.0.0/29", gateway="10.0.0.1", aux_addresses={"router": "10.0.0.5"}))
    for _ in range(2):
        with pytest.raises(errdefs.Forbidden, match=r"^Address already in use$"):
            small.take(4, fixed)
        small.free(fixed)
    assert fixed not in taken(small, 4)


def test_wanted_twice() -> None:
    both = leases(Pool(subnet="fd01::/64", gateway="fd01::1"))
    assert both.take(6, "FD01:0::99").address == "fd01::99"
    with pytest.raises(errdefs.Forbidden, match="Address already in use"):
        both.take(6, "fd01::99")
    both.free("fd01::99")
    both.take(6, "fd01::99")
    assert both.take(6, "fd01::ffff:ffff:ffff:ffff").address == "fd01::ffff:ffff:ffff:ffff"


@pytest.mark.parametrize(
    ("version", "wrong", "text"),
    [
        (4, "10.0.1.2", "invalid address 10.0.1.2: It does not belong to any of this network's subnets"),
        (4, "x", "invalid IPv4 address: x"),
        (4, "fd01::1", "invalid IPv4 address: fd01::1"),
        (6, "10.0.0.3", "invalid IPv6 address: 10.0.0.3"),
        (6, "fe80::1%eth0", "invalid IPv6 address: fe80::1%eth0"),
        (6, "fd02::1", "invalid address fd02::1: It does not belong to any of this network's subnets"),
    ],
)
def test_an_address_of_elsewhere(version: Version, wrong: str, text: str) -> None:
    both = leases(SMALL, Pool(subnet="fd01::/64", gateway="fd01::1"))
    with pytest.raises(errdefs.InvalidArgument) as caught:
        both.take(version, wrong)
    assert caught.value.message == text


def test_freeing_nothing_is_no_failure() -> None:
    small = leases(SMALL)
    for text in ("", "x", "10.9.9.9", "10.0.0.3", "fd00::1"):
        small.free(text)
    assert taken(small, 1) == ["10.0.0.2"]


def test_usage() -> None:
    both = leases(
        Pool(subnet="10.0.0.0/24", ip_range="10.0.0.128/25", gateway="10.0.0.1"),
        Pool(subnet="fd00::/8", gateway="fd00::1"),
    )
    both.take(4)
    assert both.usage() == {"10.0.0.0/24": Usage(4, 126), "fd00::/8": Usage(2, (1 << 64) - 1)}


steps = st.lists(st.tuples(st.sampled_from(["any", "wanted", "free"]), st.integers(0, 15)), max_size=80)


@pytest.mark.parametrize("net", ["10.0.0.0/28", "fd00::/124"])
@pytest.mark.parametrize("part", [None, 29, 28])
@given(steps=steps)
def test_never_twice_never_outside_and_lowest_first(
    net: str, part: int | None, steps: list[tuple[str, int]]
) -> None:
    network = ip_network(net)
    inner: Network | None = (
        None if part is None else ip_network(f"{network[0]}/{network.max_prefixlen - 32 + part}")
    )
    addresses: list[Address] = list(network)
    kept = {addresses[0], addresses[1]} | ({addresses[-1]} if network.version == 4 else set())
    subnet = Subnet(network, inner, [addresses[1]])
    free = set(addresses) - kept
    for what, number in steps:
        address = addresses[number]
        if what == "free":
            subnet.free(address)
            free |= {address} - kept
        elif what == "wanted" and address in free:
            assert subnet.take(address) == address
            free.discard(address)
        elif what == "wanted":
            with pytest.raises(errdefs.Forbidden):
                subnet.take(address)
        else:
            choices = [each for each in sorted(free, key=int) if inner is None or each in inner]
            given_one = subnet.take_any()
            assert given_one == (choices[0] if choices else None)
            free -= {given_one}
        assert subnet.in_use == len(addresses) - len(free)
        assert subnet.available == sum(inner is None or each in inner for each in free)


def test_big_subnets_cost_nothing() -> None:
    big: Mapping[str, Subnet] = {net: Subnet(ip_network(net)) for net in ("0.0.0.0/0", "::/0")}
    assert big["0.0.0.0/0"].take_any() == IPv4Address(1)
    assert big["::/0"].take(ip_address("ffff::")) == ip_address("ffff::")


def test_an_owner_holds_one_of_each_family_and_gives_back_both() -> None:
    both = leases(SMALL, Pool(subnet="fd01::/64", gateway="fd01::1"))
    assert (both.hold("a", 4).address, both.hold("a", 6).address) == ("10.0.0.2", "fd01::2")
    both.release("a")
    both.release("a")
    assert (both.hold("b", 4).address, both.hold("b", 6).address) == ("10.0.0.2", "fd01::2")


def test_holding_of_a_family_without_subnet() -> None:
    small = leases(SMALL)
    assert small.hold("a", 6) == Lease("", 0, "")
    with pytest.raises(errdefs.InvalidArgument, match="It does not belong to any of this network's subnets"):
        small.hold("a", 6, "fd00::2")


def test_a_gateway_of_containers_alone() -> None:
    pool = Pool(subnet="10.0.0.0/29", gateway="10.0.0.1", aux_addresses={"DefaultGatewayIPv4": "10.0.0.6"})
    assert leases(pool).take(4).gateway == "10.0.0.6"
