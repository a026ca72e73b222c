"""Names of containers through the CLI: what is found, by whom, and what a killed daemon and a restart leave of it."""

import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from network import netns
from tests.daemon import Wherryd
from tests.network.dns_client import Nameserver, Reply, answer, ask

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("no_leftovers")]

Run = Callable[..., "Box"]


class Box:
    """A running container, and what it is told by DNS."""

    def __init__(self, daemon: Wherryd, name: str) -> None:
        self.daemon = daemon
        self.name = name
        self.id: str = self._inspect()["Id"]

    def address(self, network: str = "front", key: str = "IPAddress") -> str:
        address: str = self._inspect()["NetworkSettings"]["Networks"][network][key]
        assert address
        return address

    def namespace(self) -> int:
        """A descriptor, the caller's to close."""
        return netns.open_of(self._inspect()["State"]["Pid"])

    def ask(self, name: str, kind: str = "A", *, tcp: bool = False, seconds: float = 6) -> Reply | None:
        inside = self.namespace()
        try:
            return ask(inside, name, kind, tcp=tcp, seconds=seconds)
        finally:
            os.close(inside)

    def told(self, name: str, kind: str = "A", *, tcp: bool = False) -> list[str]:
        reply = self.ask(name, kind, tcp=tcp)
        assert reply is not None
        assert reply.rcode == "NOERROR", reply
        return sorted(reply.values)

    def exec(self, *command: str) -> str:
        return self.daemon.docker("exec", self.name, *command, check=False).stdout

    def _inspect(self) -> dict[str, Any]:
        container: dict[str, Any] = json.loads(self.daemon.docker("inspect", self.name).stdout)[0]
        return container


def found(box: Box, name: str) -> bool:
    """Whether a name is one of a container; what the host's nameservers say of others is not known here."""
    reply = box.ask(name)
    return reply is not None and reply.rcode == "NOERROR"


@pytest.fixture
def run(wherryd: Wherryd) -> Iterator[Run]:
    """Run a container of a name and options in network front."""
    wherryd.docker(
        "network", "create", "--ipv6", "--subnet", "10.91.0.0/24", "--subnet", "fd00:91::/64", "front"
    )
    names: list[str] = []

    def run(name: str, *options: str, network: str = "front") -> Box:
        names.append(name)
        wherryd.docker(
            "run", "-d", "--name", name, "--network", network, *options, "busybox", "sleep", "1000"
        )
        return Box(wherryd, name)

    yield run
    wherryd.docker("rm", "-f", *names)
    wherryd.docker("network", "rm", "front")


def test_what_docker_s_users_ask_for(run: Run) -> None:
    web = run("web", "--network-alias", "www", "--hostname", "hosty")
    client = run("client", "--link", "web:sql")
    for name in ("web", "www", "hosty", "sql", web.id[:12], "WEB.front"):
        assert client.told(name) == client.told(name, tcp=True) == [web.address()], name
    assert client.told("web", "AAAA") == [web.address(key="GlobalIPv6Address")]
    reverse = ".".join(reversed(web.address().split("."))) + ".in-addr.arpa"
    assert client.told(reverse, "PTR") == ["web.front."]
    assert re.search(rf"Address.*\b{web.address()}\b", client.exec("nslookup", "web"))
    assert f"({web.address()})" in client.exec("ping", "-4", "-c1", "-W2", "www")


def test_names_follow_what_is_done(wherryd: Wherryd, run: Run) -> None:
    client, before = run("client"), run("web")
    wherryd.docker("rename", "web", "shop")
    web = Box(wherryd, "shop")
    assert client.told("shop") == client.told(before.id[:12]) == [web.address()]
    wherryd.docker("stop", "-t0", "shop")
    assert not found(client, "shop")
    wherryd.docker("start", "shop")
    assert client.told("shop") == [web.address()]
    wherryd.docker("network", "disconnect", "front", "shop")
    assert not found(client, "shop")
    wherryd.docker("network", "connect", "--alias", "late", "front", "shop")
    assert client.told("late") == client.told("shop") == [web.address()]
    wherryd.docker("rename", "shop", "web")


def test_a_service_goes_round(run: Run) -> None:
    replicas = [run(f"web-{n}", "--network-alias", "web") for n in range(3)]
    client = run("client")
    reply = client.ask("web")
    assert reply is not None
    assert set(reply.values) == {each.address() for each in replicas}
    firsts = set()
    for _ in range(60):
        reply = client.ask("web")
        assert reply is not None
        firsts.add(reply.values[0])
    assert len(firsts) == 3


def test_a_container_s_own_nameserver_and_port(run: Run) -> None:
    """The nameserver is a container that has port 53; who has --dns asks it for all that is not here."""
    server, client = run("server"), run("client", "--ip", "10.91.0.40", "--dns", "10.91.0.53")
    assert server.address() != "10.91.0.53"
    outside = Nameserver(lambda seen: [answer(seen.request, "198.51.100.7")])
    own = run("own", "--ip", "10.91.0.53")
    inside = own.namespace()
    outside.start(inside, "0.0.0.0")
    os.close(inside)
    try:
        for _ in range(3):  # as a client would: a datagram may get lost
            if (reply := client.ask("somewhere.example")) is not None and reply.rcode == "NOERROR":
                break
        assert client.told("somewhere.example") == ["198.51.100.7"]
        assert client.told("server") == own.told("server") == [server.address()]
        assert set(outside.names()) == {"somewhere.example."}
    finally:
        outside.close()


def test_a_killed_daemon_s_successor_answers(start_daemon: Callable[..., Wherryd]) -> None:
    """By the time it answers its API it answers names: they are all known, and port 53 leads to it."""
    daemon = start_daemon()
    daemon.docker("network", "create", "front")
    for name in ("web", "client"):
        daemon.docker("run", "-d", "--name", name, "--network", "front", "busybox", "sleep", "1000")
    web, client = Box(daemon, "web"), Box(daemon, "client")
    address = web.address()
    assert client.told("web") == [address]
    inside = client.namespace()
    daemon.kill9()
    assert ask(inside, "web", seconds=0.2) is None
    daemon.start()
    reply = ask(inside, "web")
    os.close(inside)
    assert reply is not None
    assert reply.values == client.told("web", tcp=True) == [address]
    assert daemon.terminate() == 0
    daemon.start()
    assert client.told("web") == [address]
    daemon.docker("rm", "-f", "web")
    assert not found(client, "web")
