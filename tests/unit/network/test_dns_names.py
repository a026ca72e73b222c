"""Who sees which names."""

from network.dns import message
from network.dns.names import Known, View, Zone
from network.endpoint import Endpoint


def endpoint(network: str, *names: str, ipv4: str = "", ipv6: str = "", **other: object) -> Endpoint:
    values = {
        "id": f"{network}/{names}/{ipv4}{ipv6}",
        "name": names[0] if names else "c",
        "container_id": "c",
        "sandbox_id": "s",
        "network_id": network,
        "network": network,
        "names": names,
        "ipv4": ipv4,
        "ipv6": ipv6,
    }
    return Endpoint(**{**values, **other})  # type: ignore[arg-type]


def zone(name: str, *endpoints: Endpoint) -> Zone:
    encoded = message.encode_name(name)
    zone = Zone(encoded and encoded.lower(), name)
    for each in endpoints:
        zone.add(each)
    return zone


def view(*zones: Zone, links: tuple[tuple[str, str], ...] = ()) -> View:
    view = View()
    for each in zones:
        view.join(endpoint(each.label, links=links, id=f"own in {each.label}"), each, internal=False)
    return view


def find(view: View, name: str) -> Known | None:
    encoded = message.encode_name(name)
    assert encoded is not None
    return view.find(encoded)


def addresses(view: View, name: str, kind: int = message.A) -> list[str] | None:
    known = find(view, name)
    if known is None:
        return None
    return [".".join(map(str, record[-4:])) for record in known.get(kind, ())]


def test_names_aliases_and_qualified_names() -> None:
    seen = view(zone("front", endpoint("front", "web", "0123456789ab", "www.a", ipv4="10.0.0.2")))
    for name in ("web", "0123456789ab", "www.a", "web.front", "www.a.front"):
        assert addresses(seen, name) == ["10.0.0.2"], name
    for name in ("we", "web.back", "front", "a", "www", "web.front.front"):
        assert addresses(seen, name) is None, name


def test_a_network_s_name_may_have_dots_and_capitals() -> None:
    seen = view(zone("My.Net", endpoint("My.Net", "Web", ipv4="10.0.0.2")))
    assert addresses(seen, "web.my.net") == ["10.0.0.2"]


def test_a_shared_alias_has_all_addresses_once() -> None:
    net = zone(
        "front",
        endpoint("front", "a", "svc", ipv4="10.0.0.2"),
        endpoint("front", "b", "svc", ipv4="10.0.0.3"),
        endpoint("front", "c", "svc", ipv4="10.0.0.3", id="other"),
    )
    assert addresses(view(net), "svc") == ["10.0.0.2", "10.0.0.3"]


def test_other_types_of_a_known_name_are_none() -> None:
    seen = view(zone("front", endpoint("front", "web", ipv4="10.0.0.2")))
    assert addresses(seen, "web", message.AAAA) == []
    six = view(zone("front", endpoint("front", "web", ipv6="fd00::2")))
    assert addresses(six, "web", message.A) == []
    assert len((find(six, "web") or {})[message.AAAA]) == 1


def test_the_network_that_leads_out_is_asked_first() -> None:
    a = zone("a", endpoint("a", "web", ipv4="10.0.1.2"))
    b = zone("b", endpoint("b", "web", ipv4="10.0.2.2", ipv6="fd00::2"))
    seen = View()
    seen.join(endpoint("a", id="1"), a, internal=True)
    seen.join(endpoint("b", id="2"), b, internal=False)
    assert addresses(seen, "web") == ["10.0.2.2"]
    assert addresses(seen, "web.a") == ["10.0.1.2"]
    seen.join(endpoint("a", id="1", gateway_priority=5), a, internal=True)
    assert addresses(seen, "web") == ["10.0.1.2"]
    assert addresses(seen, "web", message.AAAA) != []  # the other network's


def test_what_leads_out() -> None:
    seen, net = View(), zone("a")
    for gateways, internal, is_external in (
        ({}, False, False),
        ({"gateway": "10.0.0.1"}, False, True),
        ({"gateway": "10.0.0.1"}, True, False),
        ({"ipv6_gateway": "fd00::1"}, False, True),
    ):
        seen.join(endpoint("a", id="1", **gateways), net, internal=internal)
        assert seen.is_external is is_external


def test_links_are_the_container_s_own() -> None:
    net = zone("front", endpoint("front", "db", ipv4="10.0.0.2"), endpoint("front", "sql", ipv4="10.0.0.3"))
    linked = view(net, links=(("SQL", "db"),))
    assert addresses(linked, "sql") == ["10.0.0.2"]
    assert addresses(linked, "sql.front") == ["10.0.0.2"]
    assert addresses(linked, "db") == ["10.0.0.2"]
    assert addresses(view(net), "sql") == ["10.0.0.3"]


def test_pointers() -> None:
    net = zone("My.Net", endpoint("My.Net", "Web", "alias", ipv4="10.0.0.2", ipv6="fd00::2"))
    for address in ("10.0.0.2", "fd00::2"):
        known = view(net).find(message.reverse_name(address))
        assert known is not None
        assert known[message.PTR][0].endswith(b"\x03Web\x02My\x03Net\0")
    assert view(net).find(message.reverse_name("10.0.0.3")) is None


def test_changes_are_seen_at_once() -> None:
    net = zone("front")
    seen = view(net)
    web = endpoint("front", "web", ipv4="10.0.0.2")
    assert addresses(seen, "web") is None
    net.add(web)
    assert addresses(seen, "web") == ["10.0.0.2"]
    net.remove(web.id)
    assert addresses(seen, "web") is None
    assert net.names == {}
    net.add(web)
    seen.leave("own in front")
    assert addresses(seen, "web") is None
    assert net.views == set()


def test_names_that_cannot_be_asked_for_are_left_out() -> None:
    net = zone("front", endpoint("front", "x" * 64, "web", "a..b", ipv4="10.0.0.2"))
    assert addresses(view(net), "web") == ["10.0.0.2"]
    assert set(net.names) == {b"\x03web\0"}
