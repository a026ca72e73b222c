"""The pools from which networks get subnets."""

from collections.abc import Sequence
from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from network.ipam import pools
from network.ipam.pools import DEFAULT_POOLS, AddressPool
from network.ipam.subnet import Network


def nets(*texts: str) -> list[Network]:
    return [ip_network(each) for each in texts]


def test_the_prefix_of_a_host_is_its_own_and_lasts() -> None:
    first, again, other = (pools.unique_local(host) for host in ("a", "a", "b"))
    assert first == again != other
    assert first.base.prefixlen == 48
    assert first.base.subnet_of(ip_network("fd00::/8"))  # type: ignore[arg-type]


def test_pools_of_both_families() -> None:
    ipv4, ipv6 = AddressPool(ip_network("10.0.0.0/16"), 24), AddressPool(ip_network("fd01::/48"), 64)
    assert pools.complete_pools((), "a") == (*DEFAULT_POOLS, pools.unique_local("a"))
    assert pools.complete_pools([ipv4], "a") == (ipv4, pools.unique_local("a"))
    assert pools.complete_pools([ipv6], "a") == (ipv6,)


def test_all_default_subnets_in_their_order() -> None:
    taken: list[Network] = []
    while (found := pools.first_free(DEFAULT_POOLS, taken)) is not None:
        taken.append(found)
    order = [str(each) for each in taken]
    assert order[:4] == ["172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16", "172.20.0.0/16"]
    assert order[14:16] == ["172.31.0.0/16", "192.168.0.0/20"]
    assert len(order) == 31


def test_a_pool_of_many_subnets_is_not_walked() -> None:
    huge = AddressPool(ip_network("fd00::/8"), 64)
    assert str(pools.first_free([huge], nets("fd00::/9", "fd80::/128"))) == "fd80:0:0:1::/64"


blocks = st.tuples(st.integers(0, 255), st.integers(24, 32)).map(
    lambda each: ip_network((0x0A000000 + each[0], each[1]), strict=False)
)


@given(st.lists(blocks, max_size=12), st.integers(24, 32))
def test_the_first_free_subnet_is_the_first_that_overlaps_nothing(
    taken: Sequence[Network], size: int
) -> None:
    base = ip_network("10.0.0.0/24")
    expected = next(
        (each for each in base.subnets(new_prefix=size) if not any(each.overlaps(one) for one in taken)),
        None,
    )
    assert pools.first_free([AddressPool(base, size)], taken) == expected
