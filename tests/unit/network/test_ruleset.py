"""The ruleset's text, compared with a file that a person has read."""

from ipaddress import ip_network
from pathlib import Path

from network.nftables import bridge, element, ruleset
from network.nftables.bridge import Bridge
from network.nftables.entry import Link, Opened, Published
from network.nftables.ruleset import Ruleset

GOLDEN = Path(__file__).with_name("ruleset.nft")

DEFAULT = Bridge(name="wherry0", network_id="a" * 64, subnets=(ip_network("172.17.0.0/16"),))
BOTH = Bridge(
    name="br-a.b",
    network_id="b" * 64,
    subnets=(ip_network("10.1.2.0/24"), ip_network("fd00:1::/64")),
    icc=False,
    mode6="routed",
    source4="192.0.2.2",
    trusted=("vxlan.1",),
)
INTERNAL = Bridge(
    name="br-in",
    network_id="c" * 64,
    subnets=(ip_network("10.1.3.0/24"),),
    internal=True,
    mode4="isolated",
)
OPEN = Bridge(
    name="br-open",
    network_id="d" * 64,
    subnets=(ip_network("10.1.4.0/24"), ip_network("fd00:4::/64")),
    masquerade6=False,
    mode4="nat-unprotected",
)


def example() -> Ruleset:
    return Ruleset(
        ruleset.table_name("0badcafe"),
        0x02000000,
        {each.name: each for each in (DEFAULT, BOTH, INTERNAL, OPEN)},
        {
            Published("tcp", "", 8080, "172.17.0.2", 80),
            Published("udp", "", 53, "172.17.0.3", 53),
            Published("tcp", "127.0.0.1", 8081, "172.17.0.2", 80),
            Published("sctp", "192.0.2.2", 9, "10.1.2.3", 9),
            Published("tcp", "", 8080, "fd00:4::2", 80),
            Published("udp", "2001:db8::2", 53, "fd00:4::2", 53),
            Opened("tcp", "fd00:1::2", 80),
            Opened("udp", "10.1.2.3", 53),
            Link("10.1.2.3", "10.1.2.4", "tcp", 80),
            Link("fd00:1::2", "fd00:1::3", "udp", 53),
        },
    )


def test_the_whole_text() -> None:
    assert ruleset.replace(example()) == GOLDEN.read_text()


def test_the_text_does_not_depend_on_the_order_of_publishing() -> None:
    shuffled = example()
    shuffled.entries = {*reversed(list(shuffled.entries))}
    shuffled.bridges = dict(reversed(shuffled.bridges.items()))
    assert ruleset.replace(shuffled) == ruleset.replace(example())


def test_keeping_flushes_no_set_and_no_map() -> None:
    kept, whole = ruleset.replace(example(), keep=True), ruleset.replace(example())
    gone = set(whole.splitlines()) - set(kept.splitlines())
    assert {line.rsplit(" ", 1)[0] for line in gone} == {
        "flush map inet wherry_0badcafe",
        "flush set inet wherry_0badcafe",
    }
    assert len(gone) == 24


def test_one_port_is_one_element() -> None:
    one = Published("tcp", "", 8080, "172.17.0.2", 80).element()
    assert element.text("t", [one]) == ["add element inet t any4 { tcp . 8080 : 172.17.0.2 . 80 }"]
    assert element.text("t", []) == []


def test_an_empty_ruleset_has_no_elements() -> None:
    assert "element" not in ruleset.replace(Ruleset("t", 1))


def test_an_internal_network_is_never_seen_as_the_host() -> None:
    assert {each.of for each in bridge.elements(INTERNAL)} == {"bridges", "icc", "internal", "own4", "guard4"}


def test_a_routed_network_has_neither_masquerade_nor_guard() -> None:
    routed = Bridge(name="b", network_id="e" * 64, subnets=DEFAULT.subnets, mode4="routed")
    assert {each.of for each in bridge.elements(routed)} == {"bridges", "icc", "own4", "ping"}


def test_link_local_subnets_are_nobodys() -> None:
    both = Bridge(name="b", network_id="e" * 64, subnets=(ip_network("fe80::/64"), *DEFAULT.subnets))
    assert not any("6" in each.of for each in bridge.elements(both))
