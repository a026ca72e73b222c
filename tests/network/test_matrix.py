"""Who reaches whom: containers of every kind of network, the host, and a client on the wire that routes by the host.

All questions are asked at once, on one host, with and without br_netfilter; each cell of the tables is a test.
"""

import asyncio
from collections.abc import Iterator
from itertools import product

import pytest
import uvloop

from network import netns
from network.nftables.element import Protocol
from network.nftables.entry import Link
from network.ports import PortRequest
from tests.network.ground import CLIENT4, CLIENT6, HOST4, HOST6, Server, entered, run
from tests.network.yard import Question, Yard, bridge, listening, opened

pytestmark = pytest.mark.root

# By the container's own address, port 80 (81 where a column says so): + is an answer, . is none.
DIRECT = """
        a a2 b  i i2 q q2 r  r:81 o  n  f  t  s  s2
a       + +  .  . .  . .  +  .    +  .  .  .  +  +
b       . .  +  . .  . .  +  .    +  .  .  .  +  +
i       . .  .  + +  . .  .  .    .  .  .  .  .  .
i2      . .  .  + +  . .  .  .    .  .  .  .  .  .
q       . .  .  . .  + +  +  .    +  .  .  .  +  +
q2      . .  .  . .  . +  +  .    +  .  .  .  +  +
r       . .  .  . .  . .  +  +    +  .  .  .  +  +
o       . .  .  . .  . .  +  .    +  .  .  .  +  +
n       . .  .  . .  . .  +  .    +  +  .  .  +  +
host    + +  +  + +  + +  +  +    +  +  +  +  +  +
client  . .  .  . .  . .  +  .    +  .  .  .  +  +
s       . .  .  . .  . .  +  .    +  .  .  .  +  .
"""
# By addresses of the host. wide: on all; one: on HOST4 and HOST6; loop: on 127.0.0.1 and ::1; four: on all, to a
# container without IPv6; quiet: on all, to a container whose neighbours do not see it; inside: of an internal network.
PUBLISHED = """
        wide one  loop four quiet inside closed
a       +    +    .    +    +     .      .
a2      +    +    .    +    +     .      .
b       +    +    .    +    +     .      .
i       .    .    .    .    .     .      .
q       +    +    .    +    +     .      .
q2      +    +    .    +    +     .      .
r       +    +    .    +    +     .      .
o       +    +    .    +    +     .      .
f       +    +    .    +    +     .      .
host    +    +    .    +    +     .      .
client  +    +    .    +    +     .      .
"""
LOOPBACK = """
        wide one  loop four quiet inside closed
host    +    .    +    +    +     .      .
a       .    .    .    .    .     .      .
i       .    .    .    .    .     .      .
client  .    .    .    .    .     .      .
"""
PORTS = {"wide": 8080, "one": 8081, "loop": 8082, "four": 8083, "quiet": 8084, "inside": 8085, "closed": 8086}
# As whom the client sees whoever asks it.
SEEN = {
    "a": "host",
    "b": "host",
    "q": "host",
    "o": "host",
    "r": "itself",
    "n": "itself",
    "i": "",
    "f": "host",
}

HOSTS = (("published", PUBLISHED, (HOST4, HOST6)), ("loopback", LOOPBACK, ("127.0.0.1", "::1")))
FAMILIES = ("ipv4", "ipv6")

Cell = tuple[str, str, str, bool]  # from, column, address or family, by UDP?
Measured = tuple[dict[Cell, str], dict[str, tuple[str, str]]]


def cells(table: str) -> Iterator[tuple[str, str, bool]]:
    """(row, column, whether it is +) of a table."""
    head, *rows = (line.split() for line in table.strip().splitlines())
    for name, *marks in rows:
        assert len(marks) == len(head)
        yield from ((name, column, mark == "+") for column, mark in zip(head, marks, strict=True))


def direct() -> Iterator[tuple[str, str, str, bool]]:
    for source, column, reached in cells(DIRECT):
        for family in FAMILIES:
            if family == "ipv4" or not column.startswith("f"):
                yield source, column, family, reached


def address(yard: Yard, name: str, family: str) -> str:
    container = yard.containers[name]
    return container.ipv4 if family == "ipv4" else container.ipv6


async def build(yard: Yard) -> None:
    """The networks, links and published ports that the tables are about."""
    await yard.network(bridge("bra", 1), "a", "a2")
    await yard.network(bridge("brb", 2), "b")
    await yard.network(bridge("bri", 3, internal=True), "i", "i2")
    await yard.network(bridge("brq", 4, icc=False), "q", "q2")
    await yard.network(bridge("brr", 5, mode4="routed", mode6="routed"), "r")
    await yard.network(bridge("brop", 6, mode4="nat-unprotected", mode6="nat-unprotected"), "o")
    await yard.network(bridge("brn", 7, masquerade4=False, masquerade6=False), "n")
    await yard.network(bridge("brf", 8, ipv6=False), "f")
    await yard.network(
        bridge("brs", 10, icc=False, mode4="nat-unprotected", mode6="nat-unprotected"), "s", "s2"
    )
    await yard.network(bridge("brt", 9, trusted=("elsewhere0",)), "t")
    protocols: tuple[Protocol, Protocol] = ("tcp", "udp")
    for proto in protocols:
        await publish(yard, "a", proto, "wide", "")
        for host_ip in (HOST4, HOST6):
            await publish(yard, "b", proto, "one", host_ip)
        for host_ip in ("127.0.0.1", "::1"):
            await publish(yard, "a", proto, "loop", host_ip)
        await publish(yard, "f", proto, "four", "")
        await publish(yard, "q", proto, "quiet", "")
        await publish(yard, "i", proto, "inside", "")
        await publish(yard, "r", proto, "closed", "")
        await publish(yard, "t", proto, "closed", "127.0.0.3")
        q, q2 = yard.containers["q"], yard.containers["q2"]
        links = [Link(q.ipv4, q2.ipv4, proto, 80), Link(q.ipv6, q2.ipv6, proto, 80)]
        await yard.worker.run(lambda links=links: yard.rules.add(links))  # type: ignore[misc]
    yard.ground.add(Server("client", netns.inside(yard.ground.client, lambda: listening(9000))))


async def publish(yard: Yard, name: str, proto: Protocol, column: str, host_ip: str) -> None:
    port = PORTS[column]
    await yard.publish(
        name,
        PortRequest(
            proto=proto, container_port=80, host_ip=host_ip, host_port_start=port, host_port_end=port
        ),
    )


def questions(yard: Yard) -> dict[Cell, Question]:
    """Every cell of every table: what to ask for it."""
    asked: dict[Cell, Question] = {}
    for udp in (False, True):
        for source, column, family, reached in direct():
            name, _, port = column.partition(":")
            target = address(yard, name, family)
            asked[source, column, family, udp] = Question(source, target, int(port or 80), udp, reached)
        for where, table, hosts in HOSTS:
            for (source, column, reached), host in product(cells(table), hosts):
                question = Question(source, host, PORTS[column], udp, reached)
                asked[source, f"{where} {column}", host, udp] = question
        for source, client in product(SEEN, (CLIENT4, CLIENT6)):
            asked[source, "client", client, udp] = Question(source, client, 9000, udp, bool(SEEN[source]))
    return {key: each for key, each in asked.items() if key[0] != "f" or ":" not in each.address}


async def measure(br_netfilter: str) -> Measured:
    with entered() as ground:
        for name in ("iptables", "ip6tables"):
            run("sysctl", "-qw", f"net.bridge.bridge-nf-call-{name}={br_netfilter}")
        async with opened(ground) as yard:
            await build(yard)
            asked = questions(yard)
            answers = await yard.ask_all(list(asked.values()))
            addresses = {each.name: (each.ipv4, each.ipv6) for each in yard.containers.values()}
            return dict(zip(asked, answers, strict=True)), addresses


@pytest.fixture(scope="module")
def known() -> dict[str, Measured]:
    """What was measured before."""
    return {}


@pytest.fixture(params=["1", "0"], ids=["br_netfilter", "no-br_netfilter"])
def measured(request: pytest.FixtureRequest, known: dict[str, Measured]) -> Measured:
    """Measured once for all tests; where that failed, the next test measures again."""
    if request.param not in known:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            known[request.param] = runner.run(measure(request.param))
    return known[request.param]


protocols = pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])


@protocols
def test_by_the_containers_own_address(measured: Measured, udp: bool) -> None:
    answers, _ = measured
    wrong = [
        (source, column, family, answers[source, column, family, udp])
        for source, column, family, reached in direct()
        if reached != answers[source, column, family, udp].startswith(f"{column.partition(':')[0]} ")
    ]
    assert wrong == []


@protocols
@pytest.mark.parametrize(("where", "table", "hosts"), HOSTS, ids=["published", "loopback"])
def test_by_addresses_of_the_host(
    measured: Measured, udp: bool, where: str, table: str, hosts: tuple[str, str]
) -> None:
    answers, _ = measured
    wrong = [
        (source, column, host, answer)
        for (source, column, reached), host in product(cells(table), hosts)
        if (answer := answers.get((source, f"{where} {column}", host, udp))) is not None
        and reached != bool(answer)
    ]
    assert wrong == []


@protocols
def test_as_whom_they_are_seen(measured: Measured, udp: bool) -> None:
    answers, addresses = measured
    for number, client in enumerate((CLIENT4, CLIENT6)):
        for source, seen in SEEN.items():
            if (source, "client", client, udp) not in answers:
                continue
            own = addresses[source][number]
            expected = {"host": f"client {(HOST4, HOST6)[number]}", "itself": f"client {own}", "": ""}[seen]
            assert answers[source, "client", client, udp] == expected, (source, client)


@protocols
def test_the_client_is_seen_by_who_it_reaches(measured: Measured, udp: bool) -> None:
    answers, _ = measured
    assert answers["client", "published wide", HOST4, udp] == f"a {CLIENT4}"
    assert answers["client", "published wide", HOST6, udp] == f"a {CLIENT6}"
    assert answers["client", "r", "ipv6", udp] == f"r {CLIENT6}"
