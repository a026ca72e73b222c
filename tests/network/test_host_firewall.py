"""`published-ports: host-firewall`: a port is reached from outside when the host's INPUT rules let it in."""

import asyncio

import pytest
import uvloop

import errdefs
from network.nftables.element import Protocol
from network.ports import PortRequest, Ports
from network.publisher import Publisher
from tests.network.ground import HOST4, HOST6, entered, run
from tests.network.yard import Question, Yard, bridge, opened

pytestmark = pytest.mark.root

FIREWALL = """
table inet firewall {
    chain input {
        type filter hook input priority filter; policy drop;
        iifname "lo" accept
        iifname "br*" accept
        ct state established,related accept
        meta l4proto { icmp, ipv6-icmp } accept
        th dport 8080 accept
    }
}
"""
IPTABLES = [
    f"{program} {rule}"
    for program in ("iptables", "ip6tables")
    for rule in (
        "-A INPUT -i lo -j ACCEPT",
        "-A INPUT -i br+ -j ACCEPT",
        "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A INPUT -p tcp --dport 8080 -j ACCEPT",
        "-A INPUT -p udp --dport 8080 -j ACCEPT",
        "-P INPUT DROP",
    )
] + ["ip6tables -I INPUT -p ipv6-icmp -j ACCEPT"]


def port(proto: Protocol, host_port: int, host_ip: str = "") -> PortRequest:
    return PortRequest(
        proto=proto, container_port=80, host_ip=host_ip, host_port_start=host_port, host_port_end=host_port
    )


async def measure(firewall: list[tuple[str, ...]], *, obey: bool) -> dict[tuple[str, str, int, bool], bool]:
    """Whether (from, address, port, by UDP?) is answered: 8080 is open in the firewall, 8081 is not."""
    with entered() as ground:
        async with opened(ground) as yard:
            yard.publisher = Publisher(
                yard.worker, yard.rules, Ports(range(40000, 50000)), obey_firewall=obey
            )
            await yard.network(bridge("bra", 1), "a", "a2")
            await yard.network(bridge("brf", 2, ipv6=False), "f")
            protocols: tuple[Protocol, Protocol] = ("tcp", "udp")
            for proto in protocols:
                await yard.publish("a", port(proto, 8080), port(proto, 8081), port(proto, 8083, "127.0.0.1"))
                await yard.publish("f", port(proto, 8082))
            for command in firewall:
                run(*command)
            return await _ask(yard, obey=obey)


async def _ask(yard: Yard, *, obey: bool) -> dict[tuple[str, str, int, bool], bool]:
    def reached(source: str, address: str, number: int) -> bool:
        if source != "client" or number == 8080:
            return True
        return not obey and (address, number) != (HOST6, 8082)  # which a proxy carries

    questions = [
        Question(source, address, number, udp, reached(source, address, number))
        for source, address, number in (
            *(("client", host, number) for host in (HOST4, HOST6) for number in (8080, 8081, 8082)),
            *(("host", host, number) for host in (HOST4, "127.0.0.1", "::1") for number in (8080, 8081)),
            *(("a2", host, 8081) for host in (HOST4, HOST6)),
            ("host", "127.0.0.1", 8083),
        )
        for udp in (False, True)
    ]
    answers = await yard.ask_all(questions)
    return {
        (each.source, each.address, each.port, each.udp): bool(answer)
        for each, answer in zip(questions, answers, strict=True)
    }


@pytest.mark.parametrize(
    "firewall",
    [[("nft", FIREWALL)], [tuple(each.split()) for each in IPTABLES]],
    ids=["nft", "iptables"],
)
def test_the_firewall_rules(firewall: list[tuple[str, ...]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answered = runner.run(measure(firewall, obey=True))
    expected = {key: key[0] != "client" or key[2] == 8080 for key in answered}
    assert answered == expected


def test_by_default_it_is_passed_by_as_in_docker() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answered = runner.run(measure([("nft", FIREWALL)], obey=False))
    closed = {key for key, reached in answered.items() if not reached}
    assert closed == {("client", HOST6, 8082, udp) for udp in (False, True)}  # a proxy carries it


async def _publish_sctp() -> None:
    with entered() as ground:
        async with opened(ground) as yard:
            yard.publisher = Publisher(yard.worker, yard.rules, Ports(range(1, 2)), obey_firewall=True)
            await yard.network(bridge("bra", 1), "a")
            await yard.publish("a", port("sctp", 8080))


def test_what_no_proxy_carries_is_refused() -> None:
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        pytest.raises(errdefs.InvalidArgument, match="SCTP ports cannot be published"),
    ):
        runner.run(_publish_sctp())
