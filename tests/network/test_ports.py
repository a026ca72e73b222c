"""Which port is given, and who is told no, in Docker's words."""

import socket

import pytest

import errdefs
from network.controller import Controller
from network.ports import PortInUse, PortRequest
from tests.network.conftest import Start, tcp, udp
from tests.network.ground import HOST4, Ground, run

pytestmark = pytest.mark.root


async def test_both_families_get_the_same_port(start: Start) -> None:
    web = await start("web", [tcp(8080), udp(53)], serve=False)
    assert [(each.proto, each.host_ip, each.host_port) for each in web.bindings] == [
        ("tcp", "0.0.0.0", 8080),
        ("tcp", "::", 8080),
        ("udp", "0.0.0.0", 53),
        ("udp", "::", 53),
    ]


async def test_without_ipv6_on_the_host_there_is_one_binding(start: Start) -> None:
    run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.lo.disable_ipv6=1")
    web = await start("web", [tcp(8080)], serve=False)
    assert [each.host_ip for each in web.bindings] == ["0.0.0.0"]


async def test_ephemeral_ports_follow_each_other(start: Start) -> None:
    one = await start("one", [tcp(0), tcp(0), udp(0)], serve=False)
    assert [each.host_port for each in one.bindings if each.host_ip == "0.0.0.0"] == [32768, 32769, 32768]


async def test_a_range_gives_the_first_free_port(start: Start) -> None:
    wanted = PortRequest(proto="tcp", container_port=80, host_port_start=8080, host_port_end=8081)
    given = [(await start(name, [wanted], serve=False)).bindings[0].host_port for name in ("one", "two")]
    assert given == [8080, 8081]
    with pytest.raises(PortInUse, match="all ports are allocated"):
        await start("three", [wanted], serve=False)


async def test_another_container_has_the_port(start: Start, controller: Controller) -> None:
    await start("one", [tcp(8080)], serve=False)
    with pytest.raises(PortInUse) as caught:
        await start("two", [tcp(8081), tcp(8080)], serve=False)
    endpoint = controller._attachments.get("two").endpoints[0]
    assert caught.value.message == (
        f"driver failed programming external connectivity on endpoint two ({endpoint.id}): "
        "Bind for 0.0.0.0:8080 failed: port is already allocated"
    )
    three = await start("three", [tcp(8081)], serve=False)
    assert three.bindings[0].host_port == 8081


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_a_host_process_has_the_port(start: Start, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 8080))
        if kind == socket.SOCK_STREAM:
            other.listen()
        wanted = tcp(8080) if kind == socket.SOCK_STREAM else udp(8080)
        with pytest.raises(PortInUse) as caught:
            await start("web", [wanted], serve=False)
    assert caught.value.message.endswith(
        f": Error starting userland proxy: listen {wanted.proto}4 0.0.0.0:8080: bind: address already in use"
    )
    assert "8080" not in run("nft", "list", "ruleset")


async def test_a_host_process_does_not_get_a_published_port(start: Start) -> None:
    await start("web", [tcp(8080), udp(8080)], serve=False)
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):  # noqa: PT012 - a stream may fail at either call
                other.bind((HOST4, 8080))
                other.listen()


@pytest.mark.parametrize("port", [8080, 0])
async def test_an_address_that_the_host_has_not(start: Start, port: int) -> None:
    with pytest.raises(
        PortInUse, match=r"listen tcp4 192\.0\.2\.77:[1-9][0-9]*: bind: cannot assign requested address"
    ):
        await start("web", [tcp(port, host_ip="192.0.2.77")], serve=False)


@pytest.mark.parametrize(
    "wanted",
    [
        tcp(8080, host_ip="not an address"),
        tcp(8080, host_ip="1.2.3.4 . tcp . 80 : 1.1.1.1 . 1 }; flush ruleset; #"),
        tcp(70000),
        tcp(80, container_port=0),
        tcp(80, container_port=65536),
        tcp(-1),
    ],
)
async def test_nonsense_is_refused_and_changes_nothing(start: Start, wanted: PortRequest) -> None:
    before = run("nft", "list", "ruleset")
    with pytest.raises(errdefs.InvalidArgument):
        await start("web", [wanted], serve=False)
    assert run("nft", "list", "ruleset") == before


async def test_a_released_port_is_free_at_once(start: Start, controller: Controller, ground: Ground) -> None:
    await start("one", [tcp(8080), udp(8080)])
    await controller.release("one")
    await start("two", [tcp(8080), udp(8080)])
    for datagrams in (False, True):
        assert (await ground.ask(ground.client, HOST4, 8080, udp=datagrams)).startswith("two ")


async def test_sctp_is_published(start: Start) -> None:
    request = PortRequest(proto="sctp", container_port=80, host_port_start=8080, host_port_end=8080)
    await start("web", [request], serve=False)
    assert "sctp . 8080 : 172.17.0.2 . 80" in run("nft", "list", "ruleset")
