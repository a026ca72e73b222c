"""Questions that are not about containers: who is asked, from where, and what is believed."""

import asyncio
import os
import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from network import netns
from network.controller import Controller
from network.dns import forward
from tests.network.dns_client import Nameserver, Script, Seen, answer, ask, exchange, query
from tests.network.dns_ground import Join, Joined, MakeNetwork, join, make, resolv_conf, serve_by
from tests.network.ground import CLIENT4, CLIENT6, HOST4, HOST6, Ground, run

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("resolv_conf")]
__all__ = ["join", "make", "resolv_conf"]  # fixtures

OTHER4 = "192.0.2.10"
StartNameserver = Callable[..., Nameserver]


def honest(seen: Seen) -> list[bytes]:
    return [answer(seen.request, "198.51.100.7")]


def silent(seen: Seen) -> list[bytes]:
    return []


@pytest.fixture
def nameserver(ground: Ground) -> Iterator[StartNameserver]:
    """Starts a nameserver outside (192.0.2.9), or elsewhere."""
    started: list[Nameserver] = []

    def start(script: Script = honest, address: str = CLIENT4, *, on_host: bool = False) -> Nameserver:
        server = Nameserver(script)
        server.start(ground.host if on_host else ground.client, address)
        started.append(server)
        return server

    yield start
    for each in started:
        each.close()


def hurry(monkeypatch: pytest.MonkeyPatch, seconds: float = 1.0) -> None:
    """From now on nameservers are waited for a moment only, in which not even an honest one need answer."""
    monkeypatch.setattr(forward, "_ANSWER_SECONDS", seconds)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is waited for any longer."""
    hurry(monkeypatch)


@pytest.fixture
async def web(resolv_conf: Path, make: MakeNetwork, join: Join) -> Joined:
    """A container in a network that leads out; the host's nameserver is outside."""
    serve_by(resolv_conf, CLIENT4, OTHER4)
    await make("front")
    return await join("web", "front")


async def test_each_question_has_an_id_and_a_port_of_its_own(
    web: Joined, nameserver: StartNameserver
) -> None:
    outside = nameserver()
    requests = [query("ExAmple.org", ident=b"\x12\x34") for _ in range(20)]
    for request in requests:
        response = await asyncio.to_thread(netns.inside, web.sandbox.fd, lambda sent=request: exchange(sent))
        assert response is not None
        assert response[:2] == request[:2]
        assert response[12 : len(request)] == request[12:]
    assert outside.names() == ["ExAmple.org."] * 20
    assert len({each.request[:2] for each in outside.seen}) > 15
    assert len({each.peer[1] for each in outside.seen}) > 15


async def test_the_answer_is_passed_on_as_it_is(web: Joined, nameserver: StartNameserver) -> None:
    nameserver(lambda seen: [answer(seen.request, "198.51.100.7", "2001:db8::7", bits=0x85A0)])
    reply = await web.ask("example.org", "ANY")
    assert reply.rcode == "NOERROR"
    assert reply.flags == {"AA", "RD", "RA", "AD"}
    assert [each[2:] for each in reply.records] == [(60, "198.51.100.7"), (60, "2001:db8::7")]


async def test_a_name_that_does_not_exist(web: Joined, nameserver: StartNameserver) -> None:
    outside = nameserver(lambda seen: [answer(seen.request, bits=0x8183)])
    assert (await web.ask("nowhere.example")).rcode == "NXDOMAIN"
    assert len(outside.seen) == 1


async def test_names_of_containers_never_leave(web: Joined, nameserver: StartNameserver) -> None:
    outside = nameserver()
    reverse = ".".join(reversed(web.address.split("."))) + ".in-addr.arpa"
    for name, kind in (("web", "A"), ("web", "AAAA"), ("web.front", "MX"), ("web", "TXT"), (reverse, "PTR")):
        assert (await web.ask(name, kind)).rcode == "NOERROR"
    assert outside.seen == []


async def test_lies_are_not_believed(
    web: Joined, nameserver: StartNameserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lying(seen: Seen) -> list[bytes]:
        bad = answer(seen.request, "203.0.113.66")
        other = answer(query("evil.example", ident=seen.request[:2]), "203.0.113.66")
        wrong_id = bytes([bad[0] ^ 1]) + bad[1:]
        lies = [wrong_id, other, bad[:11], seen.request, b"", bad[:2] + b"\x01" + bad[3:]]
        return lies if seen.name.startswith("only") else [*lies, answer(seen.request, "198.51.100.7")]

    nameserver(lying)
    assert (await web.ask("example.org")).values == ["198.51.100.7"]
    hurry(monkeypatch)
    assert (await web.ask("only.example.org")).rcode == "SERVFAIL"


@pytest.mark.parametrize(
    "first",
    [
        silent,
        lambda seen: [answer(seen.request, bits=0x8182)],
        lambda seen: [answer(seen.request, bits=0x8185)],
        None,
    ],
    ids=["silent", "SERVFAIL", "REFUSED", "closed"],
)
async def test_the_next_nameserver_is_asked(
    ground: Ground,
    web: Joined,
    nameserver: StartNameserver,
    first: Script | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if first is silent:
        hurry(monkeypatch, 2.5)  # of the six that the client waits for both
    netns.inside(ground.client, lambda: run("ip", "address", "add", f"{OTHER4}/24", "dev", "in0"))
    if first is not None:
        nameserver(first)
    nameserver(honest, OTHER4)
    for tcp in (False, True):
        assert (await web.ask("example.org", tcp=tcp)).values == ["198.51.100.7"], tcp


@pytest.mark.usefixtures("hurried")
async def test_nobody_answers(web: Joined, nameserver: StartNameserver) -> None:
    nameserver(silent)
    reply = await web.ask("example.org")
    assert reply.rcode == "SERVFAIL"
    assert reply.question == "example.org."


async def test_what_is_truncated_is_asked_again_by_tcp(web: Joined, nameserver: StartNameserver) -> None:
    many = [f"198.51.100.{n}" for n in range(200)]

    def cut(seen: Seen) -> list[bytes]:
        return [answer(seen.request, *many) if seen.tcp else answer(seen.request, bits=0x8380)]

    outside = nameserver(cut)
    short = await web.ask("example.org")
    assert "TC" in short.flags
    assert len((await web.ask("example.org", tcp=True)).values) == 200
    assert [each.tcp for each in outside.seen] == [False, True]


async def test_internal_networks_tell_nobody(
    ground: Ground, resolv_conf: Path, nameserver: StartNameserver, make: MakeNetwork, join: Join
) -> None:
    """Neither outside nor on the host is anything heard of what is asked inside."""
    listening = [
        nameserver(),
        nameserver(honest, HOST4, on_host=True),
        nameserver(honest, "127.0.0.53", on_host=True),
        nameserver(honest, "::1", on_host=True),
    ]
    await make("inner", internal=True)
    lone = await join("lone", "inner")
    for server in (CLIENT4, HOST4, "127.0.0.53", "::1", CLIENT6):
        serve_by(resolv_conf, server)
        for tcp in (False, True):
            assert (await lone.ask("secret.example", tcp=tcp)).rcode == "SERVFAIL", server
    assert [each for server in listening for each in server.seen] == []
    assert await lone.addresses("lone") == [lone.address]


async def test_a_nameserver_in_an_internal_network(
    controller: Controller, make: MakeNetwork, join: Join
) -> None:
    await make("inner", internal=True)
    server, client = await join("server", "inner"), await join("client", "inner")
    inside = Nameserver(honest)
    inside.start(server.sandbox.fd, server.address)
    try:
        controller.nameservers("client", [server.address])
        assert (await client.ask("example.org")).values == ["198.51.100.7"]
    finally:
        inside.close()


async def test_an_internal_network_beside_one_that_leads_out(
    web: Joined, nameserver: StartNameserver, make: MakeNetwork
) -> None:
    outside = nameserver()
    await make("inner", internal=True)
    endpoint = await web.connect("inner", "web")
    assert (await web.ask("example.org")).values == ["198.51.100.7"]
    await web.controller.disconnect("web", web.endpoints["front"])
    assert (await web.ask("example.net")).rcode == "SERVFAIL"
    assert await web.addresses("web") == [endpoint.ipv4]
    assert outside.names() == ["example.org."]


async def test_a_resolver_on_the_host_s_loopback(
    web: Joined, resolv_conf: Path, nameserver: StartNameserver
) -> None:
    for address in ("127.0.0.53", "::1"):
        on_host = nameserver(honest, address, on_host=True)
        serve_by(resolv_conf, address)
        for tcp in (False, True):
            assert (await web.ask("example.org", tcp=tcp)).values == ["198.51.100.7"], address
        assert len(on_host.seen) == 2


async def test_changes_of_the_host_s_file_are_followed(
    ground: Ground, web: Joined, resolv_conf: Path, nameserver: StartNameserver
) -> None:
    netns.inside(ground.client, lambda: run("ip", "address", "add", f"{OTHER4}/24", "dev", "in0"))
    first, second = nameserver(), nameserver(honest, OTHER4)
    await web.ask("one.example")
    replaced = resolv_conf.with_suffix(".new")
    serve_by(replaced, OTHER4)
    replaced.rename(resolv_conf)
    await web.ask("two.example")
    assert (first.names(), second.names()) == (["one.example."], ["two.example."])


async def test_nameservers_of_the_container_s_own(
    ground: Ground, controller: Controller, web: Joined, nameserver: StartNameserver
) -> None:
    netns.inside(ground.client, lambda: run("ip", "address", "add", f"{OTHER4}/24", "dev", "in0"))
    host_s, own = nameserver(), nameserver(honest, OTHER4)
    controller.nameservers("web", ["127.0.0.11", OTHER4])
    assert (await web.ask("example.org")).values == ["198.51.100.7"]
    assert (host_s.seen, len(own.seen)) == ([], 1)
    controller.nameservers("web", [])
    await web.ask("example.org")
    assert len(host_s.seen) == 1


async def test_a_loopback_nameserver_of_the_container_s_own_is_inside(
    controller: Controller, web: Joined, nameserver: StartNameserver
) -> None:
    on_host = nameserver(honest, "127.0.0.53", on_host=True)
    inside = Nameserver(lambda seen: [answer(seen.request, "198.51.100.8")])
    inside.start(web.sandbox.fd, "127.0.0.53")
    try:
        controller.nameservers("web", ["127.0.0.53"])
        assert (await web.ask("example.org")).values == ["198.51.100.8"]
        assert on_host.seen == []
    finally:
        inside.close()


async def test_a_nameserver_by_ipv6(
    resolv_conf: Path, nameserver: StartNameserver, make: MakeNetwork, join: Join
) -> None:
    """From inside where there is IPv6, else from the host, as Docker does."""
    outside = nameserver(honest, CLIENT6)
    serve_by(resolv_conf, CLIENT6)
    await make("four")
    four = await join("four", "four")
    assert (await four.ask("four.example")).values == ["198.51.100.7"]
    assert outside.seen[-1].peer[0] == HOST6
    await make("six", enable_ipv6=True)
    six = await join("six", "six")
    assert (await six.ask("six.example")).values == ["198.51.100.7"]


async def test_ndots_keeps_single_labels_inside(
    controller: Controller, web: Joined, resolv_conf: Path, nameserver: StartNameserver
) -> None:
    outside = nameserver()
    assert (await web.ask("unknown")).values == ["198.51.100.7"]
    controller.nameservers("web", [], ["ndots:2"])
    for kind in ("A", "AAAA"):
        assert (await web.ask("unknown", kind)).values == []
    await web.ask("unknown.example")
    assert outside.names() == ["unknown.", "unknown.example."]


def flood() -> set[int]:
    """Ask a hundred questions that nobody answers, all at once: the codes that came back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.connect(("127.0.0.11", 53))
        for n in range(100):
            client.send(query(f"slow{n}.example"))
        return {client.recv(4096)[3] & 15 for _ in range(100)}


@pytest.mark.usefixtures("hurried")
async def test_a_flood_of_questions_is_bounded(
    web: Joined, nameserver: StartNameserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of containers are answered meanwhile, and all is as before afterwards."""
    monkeypatch.setattr(forward, "_WAITING", 50)
    nameserver(lambda seen: [] if seen.name.startswith("slow") else honest(seen))

    flooding = asyncio.get_running_loop().run_in_executor(None, netns.inside, web.sandbox.fd, flood)
    reply = await asyncio.to_thread(ask, web.sandbox.fd, "web")
    assert reply is not None
    assert await flooding == {2, 5}  # SERVFAIL for those that nobody answered, REFUSED for those too many
    hurry(monkeypatch, 4.0)
    assert (await web.ask("example.org")).values == ["198.51.100.7"]


@pytest.mark.usefixtures("hurried")
async def test_a_flood_leaves_descriptors_for_others(
    web: Joined, nameserver: StartNameserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    nameserver(lambda seen: [] if seen.name.startswith("slow") else honest(seen))
    given, before = resource.getrlimit(resource.RLIMIT_NOFILE), open_descriptors()
    resource.setrlimit(resource.RLIMIT_NOFILE, ((before + 40) * 4 // 3, given[1]))
    try:
        flooding = asyncio.get_running_loop().run_in_executor(None, netns.inside, web.sandbox.fd, flood)
        peak = 0
        while not flooding.done():
            peak = max(peak, open_descriptors())
            await asyncio.sleep(0.05)
        assert await flooding == {2}
        assert before + 20 < peak < before + 70
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, given)
    hurry(monkeypatch, 4.0)
    assert (await web.ask("example.org")).values == ["198.51.100.7"]


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
