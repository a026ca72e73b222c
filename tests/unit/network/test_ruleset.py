"""The ruleset's text, compared with a file that a person has read."""

from ipaddress import IPv4Network
from pathlib import Path

from network.nftables import ruleset
from network.nftables.ruleset import Bridge, Published, Ruleset

GOLDEN = Path(__file__).with_name("ruleset.nft")


def example() -> Ruleset:
    return Ruleset(
        ruleset.table_name("0badcafe"),
        0x02000000,
        (Bridge("wherry0", IPv4Network("172.17.0.0/16")), Bridge("br-a.b", IPv4Network("10.1.2.0/24"))),
        {
            Published("tcp", "", 8080, "172.17.0.2", 80),
            Published("udp", "", 53, "172.17.0.3", 53),
            Published("tcp", "127.0.0.1", 8081, "172.17.0.2", 80),
            Published("sctp", "192.0.2.2", 9, "10.1.2.3", 9),
        },
    )


def test_the_whole_text() -> None:
    assert ruleset.replace(example()) == GOLDEN.read_text()


def test_the_text_does_not_depend_on_the_order_of_publishing() -> None:
    shuffled = example()
    shuffled.published = {*reversed(list(shuffled.published))}
    assert ruleset.replace(shuffled) == ruleset.replace(example())


def test_keeping_ports_flushes_no_map() -> None:
    kept, whole = ruleset.replace(example(), keep_ports=True), ruleset.replace(example())
    assert set(whole.splitlines()) - set(kept.splitlines()) == {
        "flush map inet wherry_0badcafe any4",
        "flush map inet wherry_0badcafe addr4",
    }


def test_one_port_is_one_element() -> None:
    one = Published("tcp", "", 8080, "172.17.0.2", 80)
    assert ruleset.add("t", [one]) == ["add element inet t any4 { tcp . 8080 : 172.17.0.2 . 80 }"]
    assert ruleset.add("t", []) == []


def test_an_empty_ruleset_has_no_elements() -> None:
    assert "element" not in ruleset.replace(Ruleset("t", 1))
