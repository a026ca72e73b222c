"""What is published where: modes of networks, both families, flows that are older than the port, and many ports."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import uvloop

from network import netns
from network.nftables.element import Protocol
from network.ports import PortRequest
from network.publisher import Publication
from tests.network.ground import CLIENT4, CLIENT6, HOST4, HOST6, Server, entered, run
from tests.network.yard import TABLE, Question, Yard, bridge, listening, opened

pytestmark = pytest.mark.root


def port(number: int, proto: Protocol = "tcp", host_ip: str = "", end: int = 0) -> PortRequest:
    return PortRequest(
        proto=proto,
        container_port=80,
        host_ip=host_ip,
        host_port_start=number,
        host_port_end=end or number,
    )


def in_a_yard(work: Callable[[Yard], Awaitable[None]]) -> None:
    async def enter() -> None:
        with entered() as ground:
            async with opened(ground) as yard:
                await work(yard)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(enter())


async def withdraw(yard: Yard, publication: Publication) -> None:
    yard.publications.remove(publication)
    publication.unserve()
    await yard.worker.run(partial(yard.publisher.withdraw, publication))


def test_bindings_and_elements_of_each_mode() -> None:
    async def work(yard: Yard) -> None:
        await yard.network(bridge("bra", 1), "a")
        await yard.network(bridge("brr", 2, mode4="routed", mode6="nat"), "r")
        await yard.network(bridge("bri", 3, internal=True), "i")
        await yard.network(bridge("brh", 4, host_binding=HOST4), "h")
        given = {name: await yard.publish(name, port(8080 + n)) for n, name in enumerate("arih")}
        assert {
            name: [(each.host_ip, each.host_port) for each in publication.bindings]
            for name, publication in given.items()
        } == {
            "a": [("0.0.0.0", 8080), ("::", 8080)],
            "r": [("::", 8081), ("0.0.0.0", 0)],
            "i": [],
            "h": [(HOST4, 8083)],
        }
        listed = run("nft", "list", "table", "inet", TABLE)
        assert "tcp . 8080 : 10.77.1.2 . 80" in listed
        assert "tcp . 8080 : fd77:1::2 . 80" in listed
        assert "10.77.2.2 . tcp . 80" in listed
        assert "8082" not in listed
        for publication in given.values():
            await withdraw(yard, publication)
        listed = run("nft", "list", "table", "inet", TABLE)
        assert "tcp . 80" not in listed
        assert ":808" not in run("ss", "-Hltun")

    in_a_yard(work)


@pytest.mark.parametrize("host", [HOST4, HOST6])
def test_clients_by_udp_follow_the_port(host: str) -> None:
    """One client socket, whose flow is older than each change."""

    async def work(yard: Yard) -> None:
        await yard.network(bridge("bra", 1), "a", "b")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with netns.inside(yard.ground.client, lambda: socket.socket(family, socket.SOCK_DGRAM)) as client:
            client.settimeout(10)
            client.bind(("::" if ":" in host else "0.0.0.0", 4444))
            client.sendto(b"early", (host, 8080))  # a flow of the host's, before anything is published
            for name in ("a", "b", "a"):
                publication = await yard.publish(name, port(8080, "udp"))
                client.sendto(b"x", (host, 8080))
                answer = await asyncio.to_thread(client.recv, 100)
                assert answer.decode().split()[0] == name
                await withdraw(yard, publication)
            many = await yard.publish("b", *(port(8080 + n, "udp") for n in range(20)))
            client.sendto(b"x", (host, 8080))
            assert (await asyncio.to_thread(client.recv, 100)).decode().startswith("b ")
            assert len(many.bindings) == 40

    in_a_yard(work)


def test_a_trusted_interface_reaches_published_ports_by_the_containers_address() -> None:
    async def work(yard: Yard) -> None:
        await yard.network(bridge("brt", 1, trusted=("out0",)), "t")
        await yard.network(bridge("bra", 2), "a")
        await yard.publish("t", port(8080))
        t = yard.containers["t"]
        cases = {
            Question(source, address, number, False, reached): reached
            for address in (t.ipv4, t.ipv6)
            for source, number, reached in (("client", 80, True), ("client", 81, False), ("a", 80, False))
        }
        answers = await yard.ask_all(list(cases))
        assert [bool(answer) for answer in answers] == list(cases.values())

    in_a_yard(work)


def test_a_network_is_seen_by_the_address_that_was_chosen_for_it() -> None:
    second4, second6 = "192.0.2.77", "2001:db8::77"

    async def work(yard: Yard) -> None:
        run("ip", "address", "add", f"{second4}/24", "dev", "out0")
        run("ip", "address", "add", f"{second6}/64", "dev", "out0", "nodad")
        await yard.network(bridge("brs", 1, source4=second4, source6=second6), "s")
        yard.ground.add(Server("client", netns.inside(yard.ground.client, partial(listening, 9000))))
        asked = [Question("s", address, 9000, False, True) for address in (CLIENT4, CLIENT6)]
        assert await yard.ask_all(asked) == [f"client {second4}", f"client {second6}"]

    in_a_yard(work)


def test_a_thousand_ports_at_once() -> None:
    async def work(yard: Yard) -> None:
        await yard.network(bridge("bra", 1), "a")
        publication = await yard.publish("a", *(port(20000 + n) for n in range(1000)))
        assert len(publication.bindings) == 2000
        asked = [
            Question("client", host, number, False, True)
            for host in (HOST4, HOST6)
            for number in (20000, 20500, 20999)
        ]
        assert await yard.ask_all(asked) == [f"a {CLIENT4}"] * 3 + [f"a {CLIENT6}"] * 3
        await withdraw(yard, publication)
        assert "tcp . 20" not in run("nft", "list", "table", "inet", TABLE)

    in_a_yard(work)


def test_networks_come_and_go_without_a_trace() -> None:
    async def work(yard: Yard) -> None:
        def listed() -> list[str]:
            text = run("nft", "-s", "list", "ruleset")
            return sorted(text.replace(",", "\n").split("\n"))

        await yard.network(bridge("bra", 1), "a")
        before = listed()
        for number in range(2, 40):
            other = bridge(f"other{number}", number, mode6="routed" if number % 2 else "nat")
            await yard.worker.run(partial(yard.rules.add_bridge, other))
            await yard.worker.run(partial(yard.rules.add_bridge, other))
        assert run("nft", "-s", "list", "ruleset").count('"other') > 38 * 4
        for number in range(2, 40):
            await yard.worker.run(partial(yard.rules.remove_bridge, f"other{number}"))
        assert listed() == before

    in_a_yard(work)


def test_containers_of_a_dockerd_are_reached_by_what_it_publishes_alone() -> None:
    theirs = """
        table ip theirs {
            chain pre {
                type nat hook prerouting priority dstnat; policy accept;
                tcp dport 7070 dnat to 10.77.9.2:80
            }
        }
    """

    async def work(yard: Yard) -> None:
        await yard.network(bridge("bra", 1), "a")
        await yard.network(bridge("docker0", 9), "d", foreign=True)
        run("nft", theirs)
        d = yard.containers["d"]
        asked = [
            Question("a", d.ipv4, 80, False, False),
            Question("a", d.ipv6, 80, False, False),
            Question("a", HOST4, 7070, False, True),
        ]
        assert await yard.ask_all(asked) == ["", "", "d 10.77.9.1"]

    in_a_yard(work)
