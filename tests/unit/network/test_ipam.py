"""Subnets and addresses are decided as Docker decides them."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

import errdefs
from network.endpoint import mac_of
from network.ipam import pools
from network.ipam.addresses import Addresses

SMALL = IPv4Network("10.0.0.0/29")


def small() -> Addresses:
    return Addresses(SMALL, IPv4Address("10.0.0.1"), "bridge")


def nets(*texts: str) -> list[IPv4Network]:
    return [IPv4Network(each) for each in texts]


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ([], "172.17.0.0/16"),
        (["0.0.0.0/0"], "172.17.0.0/16"),
        (["172.17.0.0/16"], "172.18.0.0/16"),
        (["172.17.5.0/24", "172.18.0.0/15"], "172.20.0.0/16"),
        (["172.16.0.0/12"], "192.168.0.0/20"),
        (["172.16.0.0/12", "192.168.0.0/20"], "192.168.16.0/20"),
    ],
)
def test_the_first_pool_that_no_route_overlaps(routes: list[str], expected: str) -> None:
    assert str(pools.choose(nets(*routes))) == expected


def test_a_pool_with_a_nameserver_is_not_taken() -> None:
    assert str(pools.choose([], [IPv4Address("172.17.0.53")])) == "172.18.0.0/16"


def test_no_pool_is_left() -> None:
    with pytest.raises(errdefs.Conflict, match="non-overlapping"):
        pools.choose(nets("172.16.0.0/12", "192.168.0.0/16"))


def test_lowest_first_and_again_after_free() -> None:
    addresses = small()
    assert [addresses.take() for _ in range(3)] == ["10.0.0.2", "10.0.0.3", "10.0.0.4"]
    addresses.free("10.0.0.3")
    assert addresses.take() == "10.0.0.3"
    assert addresses.take() == "10.0.0.5"


def test_exhaustion_says_which_network() -> None:
    addresses = small()
    for _ in range(5):
        addresses.take()
    with pytest.raises(
        errdefs.Conflict, match="no available IPv4 addresses on this network's address pools: bridge"
    ):
        addresses.take()
    addresses.free("10.0.0.6")
    assert addresses.take() == "10.0.0.6"


@pytest.mark.parametrize("fixed", ["10.0.0.0", "10.0.0.1", "10.0.0.7"])
def test_network_gateway_and_broadcast_are_never_given(fixed: str) -> None:
    addresses = small()
    with pytest.raises(errdefs.Forbidden, match="Address already in use"):
        addresses.take(fixed)
    addresses.free(fixed)
    with pytest.raises(errdefs.Forbidden):
        addresses.take(fixed)


@pytest.mark.parametrize("wrong", ["10.0.1.2", "x", "", "::1"])
def test_an_address_of_elsewhere(wrong: str) -> None:
    with pytest.raises(errdefs.InvalidArgument):
        small().take(wrong)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 15)), max_size=60))
def test_no_address_is_given_twice(steps: list[tuple[bool, int]]) -> None:
    addresses = Addresses(IPv4Network("10.0.0.0/28"), IPv4Address("10.0.0.1"), "n")
    taken: set[str] = set()
    free = {str(IPv4Address("10.0.0.0") + each) for each in range(2, 15)}
    for give_back, number in steps:
        address = str(IPv4Address("10.0.0.0") + number)
        if give_back:
            addresses.free(address)
            taken.discard(address)
        elif free - taken:
            given_one = addresses.take()
            assert given_one == min(free - taken, key=lambda each: int(IPv4Address(each)))
            taken.add(given_one)


def test_the_mac_is_made_of_the_address() -> None:
    assert mac_of("172.17.0.2") == "02:42:ac:11:00:02"
