"""The embedded DNS in real namespaces: names, what the container may do itself, and what survives a restart."""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from network import netns, resolvconf
from network.controller import Controller, NetworkConfig
from network.dns import server, sockets
from network.drivers.driver import NetworkInfo
from network.endpoint import new_id
from tests.network.dns_client import Reply, answer, ask, exchange, query
from tests.network.dns_ground import Join, Joined, MakeNetwork, join, make, ports_in_namespace, resolv_conf
from tests.network.ground import Ground, eventually

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("resolv_conf")]
__all__ = ["join", "make", "resolv_conf"]  # fixtures


async def test_names_of_a_network(make: MakeNetwork, join: Join) -> None:
    await make("front")
    web = await join("web", "front", "web", "www", "0123456789ab")
    client = await join("client", "front")
    for name in ("web", "www", "0123456789ab", "web.front", "WWW.Front", "web."):
        assert await client.addresses(name) == [web.address], name
    assert await web.addresses("client") == [client.address]
    assert await client.addresses("client") == [client.address]
    for kind in ("AAAA", "MX", "TXT", "HTTPS", "SRV"):
        assert await client.addresses("web", kind) == []


async def test_an_answer_looks_like_docker_s(make: MakeNetwork, join: Join) -> None:
    await make("front")
    web = await join("web", "front")
    for tcp in (False, True):
        reply = await web.ask("WeB", tcp=tcp)
        assert reply == Reply("NOERROR", frozenset(("RD", "RA")), "WeB.", (("WeB.", "A", 600, web.address),))
    reverse = ".".join(reversed(web.address.split("."))) + ".in-addr.arpa"
    assert (await web.ask(reverse, "PTR")).records == ((f"{reverse}.", "PTR", 600, "web.front."),)


async def test_names_of_other_networks_are_not_told(make: MakeNetwork, join: Join) -> None:
    await make("front", internal=True)
    await make("back", internal=True)
    web, db = await join("web", "front"), await join("db", "back")
    for name in ("db", "db.back"):
        assert (await web.ask(name)).rcode == "SERVFAIL"
    reverse = ".".join(reversed(db.address.split("."))) + ".in-addr.arpa"
    assert (await web.ask(reverse, "PTR")).rcode == "SERVFAIL"
    await web.connect("back", "web")
    assert await web.addresses("db.back") == await web.addresses("db") == [db.address]
    assert await db.addresses("web") == [web.endpoints["back"].ipv4]
    await web.controller.disconnect("web", web.endpoints["back"])
    assert (await web.ask("db")).rcode == (await db.ask("web")).rcode == "SERVFAIL"


async def test_a_shared_alias_goes_round(make: MakeNetwork, join: Join) -> None:
    await make("front")
    all_of_them = [await join(f"web{n}", "front", f"web{n}", "svc") for n in range(3)]
    orders = {tuple((await all_of_them[0].ask("svc")).values) for _ in range(200)}
    assert {each[0] for each in orders} == {each.address for each in all_of_them}
    assert len(orders) == 6
    await all_of_them[1].controller.release("web1")
    assert len(await all_of_them[0].addresses("svc")) == 2


async def test_links(make: MakeNetwork, join: Join) -> None:
    await make("front")
    db = await join("db", "front")
    linked = await join("linked", "front", links=(("sql", "db"),))
    assert await linked.addresses("sql") == [db.address]
    assert (await db.ask("sql")).rcode == "SERVFAIL"


async def test_ipv6(make: MakeNetwork, join: Join) -> None:
    await make("six", enable_ipv6=True)
    web = await join("web", "six")
    endpoint = web.endpoints["six"]
    assert await web.addresses("web", "AAAA") == [endpoint.ipv6]
    assert await web.addresses("web") == [endpoint.ipv4]
    nibbles = socket.inet_pton(socket.AF_INET6, endpoint.ipv6).hex()
    reverse = ".".join(reversed(nibbles)) + ".ip6.arpa"
    assert (await web.ask(reverse, "PTR")).values == ["web.six."]


async def test_what_does_not_fit_a_datagram(make: MakeNetwork, join: Join) -> None:
    await make("front")
    for n in range(34):
        last = await join(f"c{n}", "front", f"c{n}", "svc")
    short = await last.ask("svc")
    assert "TC" in short.flags
    assert len(short.values) == (512 - 12 - 9) // 16
    assert len(set((await last.ask("svc", tcp=True)).values)) == 34
    assert len(set((await last.ask("svc", edns=4096)).values)) == 34


async def test_the_default_bridge_has_no_names(controller: Controller, make: MakeNetwork, join: Join) -> None:
    await make("front")
    web = await join("web", "front")
    lone = Joined(controller, await controller.create_sandbox("lone"))
    await lone.connect("bridge")
    assert await asyncio.to_thread(ask, lone.sandbox.fd, "lone", seconds=0.2) is None
    await lone.connect("front", "lone")
    assert await lone.addresses("web") == [web.address]
    assert await web.addresses("lone") == [lone.endpoints["front"].ipv4]


async def test_renaming(controller: Controller, make: MakeNetwork, join: Join) -> None:
    await make("front")
    web = await join("web", "front")
    controller.rename("web", replace(web.endpoints["front"], names=("other",)))
    assert await web.addresses("other") == [web.address]
    assert (await web.ask("web")).rcode == "SERVFAIL"


async def test_a_container_may_have_port_53(ground: Ground, make: MakeNetwork, join: Join) -> None:
    await make("front")
    web, client = await join("web", "front"), await join("client", "front")
    ground.serve(web.sandbox, "own", port=53)
    assert await web.addresses("client") == [client.address]
    assert (await web.ask("client", tcp=True)).values == [client.address]
    for udp in (False, True):
        for where in (client.sandbox, web.sandbox):
            assert (await ground.ask(where, web.address, 53, udp=udp)).startswith("own ")


async def test_c_libraries_find_names(make: MakeNetwork, join: Join, tmp_path: Path) -> None:
    await make("front")
    web = await join("web", "front")
    file = tmp_path / "inside"
    file.write_bytes(resolvconf.build_embedded(b"nameserver 192.0.2.77\n"))
    look_up = "import socket; print(*socket.getaddrinfo('web', 80, type=socket.SOCK_STREAM)[0][4])"
    assert (
        await asyncio.to_thread(_run_in, web, file, sys.executable, "-I", "-c", look_up)
        == f"{web.address} 80\n"
    )
    back = f"import socket; print(socket.gethostbyaddr({web.address!r})[0])"
    assert await asyncio.to_thread(_run_in, web, file, sys.executable, "-I", "-c", back) == "web.front\n"
    if busybox := shutil.which("busybox"):
        found = await asyncio.to_thread(_run_in, web, file, busybox, "nslookup", "web")
        assert re.search(rf"Address.*\b{web.address}\b", found), found


def _run_in(joined: Joined, resolv: Path, *argv: str) -> str:
    """A program in the container's network, with a resolv.conf of its own."""
    namespace = f"--net=/proc/{os.getpid()}/fd/{joined.sandbox.fd}"
    mount = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    command = ["nsenter", namespace, "unshare", "--mount", "sh", "-c", mount, str(resolv), *argv]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=30).stdout


async def test_hostile_bytes_do_no_harm(make: MakeNetwork, join: Join) -> None:
    await make("front")
    web = await join("web", "front")
    good = query("web")

    def attack() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.11", 53))
            for cut in range(len(good)):
                client.send(good[:cut])
                client.send(good[:cut] + os.urandom(40))
            client.send(os.urandom(60000))
        for data in (b"\0", b"\xff\xff", b"\0\0", b"\0\x0c" + os.urandom(12), b"\0\x05hello"):
            with socket.create_connection(("127.0.0.11", 53), 3) as stream:
                stream.sendall(data)

    await asyncio.to_thread(netns.inside, web.sandbox.fd, attack)
    assert await web.addresses("web") == [web.address]
    assert (await web.ask("web", tcp=True)).values == [web.address]
    refused = await asyncio.to_thread(
        netns.inside, web.sandbox.fd, lambda: exchange(good[:5] + b"\2" + good[6:])
    )
    assert refused is not None
    assert refused[3] & 15 == 1


async def test_many_queries_on_a_connection_and_many_connections(make: MakeNetwork, join: Join) -> None:
    await make("front")
    web = await join("web", "front")

    def talk() -> tuple[int, bytes]:
        with contextlib.ExitStack() as stack:
            streams = [
                stack.enter_context(socket.create_connection(("127.0.0.11", 53), 3)) for _ in range(70)
            ]
            request = query("web")
            streams[0].sendall((len(request).to_bytes(2, "big") + request) * 10)
            streams[0].settimeout(3)
            got = b""
            while len(got) < 10 * (2 + len(answer(request, "1.1.1.1"))):
                got += streams[0].recv(65535)
            return len(got), got[2:]

    length, _ = await asyncio.to_thread(netns.inside, web.sandbox.fd, talk)
    assert length > 0
    assert (await web.ask("web")).values == [web.address]
    # The others are closed by now, and soon counted so.
    assert await eventually(lambda: ask(web.sandbox.fd, "web", tcp=True, seconds=3) is not None)


async def test_nothing_is_left(
    ground: Ground, controller: Controller, make: MakeNetwork, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (server, sockets):
        monkeypatch.setattr(module, "_IDLE_SECONDS", 3600.0)  # it does not go for being idle
    await make("front")
    await join("warm-up", "front")
    await controller.release("warm-up")
    before = len(os.listdir("/proc/self/fd"))
    web = await join("web", "front")
    inode = os.stat(f"/proc/self/fd/{web.sandbox.fd}").st_ino
    await web.ask("web", tcp=True)
    controller.nameservers("web", ["127.0.0.53"])  # asked from inside, where nobody listens
    await web.ask("elsewhere.example")
    await controller.release("web")

    def gone() -> bool:
        return len(os.listdir("/proc/self/fd")) <= before and not _has_namespace(inode)

    assert await eventually(gone)


def _has_namespace(inode: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        for each in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/self/fd/{each}").st_ino == inode:
                    return True
    return False


async def _restarted(controller: Controller, config: NetworkConfig, infos: list[NetworkInfo]) -> Controller:
    """The next daemon, before it adopted anything."""
    await controller.close()
    after = await Controller.open(config)
    for info in infos:
        await after.restore_network(info)
    return after


async def test_a_restart_keeps_ports_and_holds_questions(ground: Ground, config: NetworkConfig) -> None:
    before = await Controller.open(config)
    await before.reconcile(set())
    info = await before.create_network(
        NetworkInfo(name="front", id=new_id(), driver="bridge", created=datetime.now(UTC))
    )
    boxes: list[Joined] = []
    pids: list[int] = []
    for name in ("web", "db"):
        joined = Joined(before, await before.create_sandbox(name))
        await joined.connect("front", name)
        pids.append(ground.spawn_server(joined.sandbox.fd, name).pid)
        boxes.append(joined)
    web, db = boxes
    ports = await web.ports()
    fds = [os.dup(each.sandbox.fd) for each in boxes]
    after = await _restarted(before, config, [info])
    try:
        await after.adopt("web", pids[0], [web.endpoints["front"]], [])
        early = asyncio.create_task(asyncio.to_thread(ask, fds[0], "db"))  # noqa: TID251 - a test's own
        await asyncio.sleep(0.2)
        assert not early.done()  # db is not known yet, and not unknown either
        await after.adopt("db", pids[1], [db.endpoints["front"]], [])
        await after.reconcile({"web", "db"})
        reply = await early
        assert reply is not None
        assert reply.values == [db.address]
        assert await asyncio.to_thread(netns.inside, fds[0], ports_in_namespace) == ports
        reply = await asyncio.to_thread(ask, fds[1], "web", tcp=True)
        assert reply is not None
        assert reply.values == [web.address]
    finally:
        await after.dismantle()
        await after.close()
        for fd in fds:
            os.close(fd)


async def test_a_port_taken_meanwhile_gets_another(ground: Ground, config: NetworkConfig) -> None:
    before = await Controller.open(config)
    await before.reconcile(set())
    info = await before.create_network(
        NetworkInfo(name="front", id=new_id(), driver="bridge", created=datetime.now(UTC))
    )
    web = Joined(before, await before.create_sandbox("web"))
    await web.connect("front", "web")
    process = ground.spawn_server(web.sandbox.fd, "web")
    ports = await web.ports()
    fd = os.dup(web.sandbox.fd)
    await before.close()
    udp = netns.inside(fd, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    tcp = netns.inside(fd, socket.socket)
    udp.bind(("0.0.0.0", ports.udp))
    tcp.bind(("127.0.0.11", ports.tcp))
    tcp.listen()
    after = await Controller.open(config)
    await after.restore_network(info)
    try:
        assert await after.adopt("web", process.pid, [web.endpoints["front"]], []) == []
        await after.reconcile({"web"})
        for over_tcp in (False, True):
            reply = await asyncio.to_thread(ask, fd, "web", tcp=over_tcp)
            assert reply is not None
            assert reply.values == [web.address]
        now = await asyncio.to_thread(netns.inside, fd, ports_in_namespace)
        assert now.udp != ports.udp
        assert now.tcp != ports.tcp
    finally:
        for each in (udp, tcp):
            each.close()
        await after.dismantle()
        await after.close()
        os.close(fd)
