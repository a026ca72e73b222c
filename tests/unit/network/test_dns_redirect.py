"""The table that leads port 53 elsewhere is read back as it was written, and whatever else is there does no harm."""

from hypothesis import given
from hypothesis import strategies as st

from network.dns import redirect
from network.dns.redirect import Ports
from network.dns.upstreams import Asked, servers
from network.resolvconf import Parsed

_NEW_RULE = 6


def rules(ports: Ports) -> list[bytes]:
    return [each.attributes for each in redirect.table(ports) if each.kind == _NEW_RULE]


@given(st.integers(1, 65535), st.integers(1, 65535))
def test_ports_are_read_back(udp: int, tcp: int) -> None:
    assert redirect.ports_of(rules(Ports(udp, tcp))) == Ports(udp, tcp)


def test_a_rule_that_is_gone_has_no_port() -> None:
    assert redirect.ports_of(rules(Ports(1000, 2000))[1:]) == Ports(0, 2000)
    assert redirect.ports_of([]) == redirect.ANY_PORTS


@given(st.lists(st.binary(max_size=200), max_size=3), st.integers(0, 400))
def test_other_bytes_do_no_harm(others: list[bytes], cut: int) -> None:
    redirect.ports_of(others)
    redirect.ports_of([each[:cut] for each in rules(Ports(1000, 2000))])


def test_nameservers_to_ask() -> None:
    host = Parsed(nameservers=["127.0.0.53", "2001:db8::1", "192.0.2.1", "192.0.2.2"])
    assert [(each.address, each.on_host) for each in servers(Asked(), host, ipv6=False)] == [
        ("127.0.0.53", True),
        ("2001:db8::1", True),
        ("192.0.2.1", False),
    ]
    assert not servers(Asked(), host, ipv6=True)[1].on_host
    own = servers(Asked(("127.0.0.11", "no address", "127.0.0.53", "fe80::1%99999999999")), host, ipv6=False)
    assert [(each.address, each.on_host) for each in own] == [
        ("127.0.0.53", False),
        ("fe80::1%99999999999", False),
    ]
    assert own[1].target()[3] < 1 << 32
    assert [each.address for each in servers(Asked(), Parsed(), ipv6=False)] == ["8.8.8.8", "8.8.4.4"]
