"""Who reaches a published port, who does not, and as whom a container is seen outside."""

import contextlib
from pathlib import Path

import pytest
from msgspec.structs import replace

from network import netns
from network.controller import Controller, NetworkConfig
from tests.network.conftest import Start, starter, tcp, udp
from tests.network.ground import CLIENT4, HOST4, HOST6, Ground, run

pytestmark = pytest.mark.root

ANYWHERE = [tcp(8080), udp(8080)]
protocols = pytest.mark.parametrize("datagrams", [False, True], ids=["tcp", "udp"])


@protocols
async def test_from_outside_by_ipv4_the_client_is_seen(ground: Ground, start: Start, datagrams: bool) -> None:
    await start("web", ANYWHERE)
    assert await ground.ask(ground.client, HOST4, 8080, udp=datagrams) == f"web {CLIENT4} x"


@protocols
async def test_from_outside_by_ipv6(ground: Ground, start: Start, datagrams: bool) -> None:
    await start("web", ANYWHERE)
    assert (await ground.ask(ground.client, HOST6, 8080, udp=datagrams)).startswith("web ")


@protocols
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", HOST4, HOST6, "172.17.0.1"])
async def test_from_the_host(ground: Ground, start: Start, datagrams: bool, address: str) -> None:
    await start("web", ANYWHERE)
    assert (await ground.ask(ground.host, address, 8080, udp=datagrams)).startswith("web ")


@protocols
@pytest.mark.parametrize("address", [HOST4, "172.17.0.1"])
async def test_by_hairpin_from_itself_and_from_another(
    ground: Ground, start: Start, datagrams: bool, address: str
) -> None:
    web = await start("web", ANYWHERE)
    other = await start("other", serve=False)
    assert (await ground.ask(web.sandbox, address, 8080, udp=datagrams)).startswith("web ")
    assert (await ground.ask(other.sandbox, address, 8080, udp=datagrams)).startswith("web ")


@protocols
async def test_containers_see_each_other(ground: Ground, start: Start, datagrams: bool) -> None:
    web = await start("web")
    other = await start("other", serve=False)
    answer = await ground.ask(other.sandbox, web.endpoint.ipv4, 80, udp=datagrams)
    assert answer == f"web {other.endpoint.ipv4} x"


@protocols
@pytest.mark.parametrize("direct", [False, True], ids=["guarded", "direct"])
async def test_published_ports_by_the_containers_address_where_that_is_allowed(
    ground: Ground, config: NetworkConfig, datagrams: bool, direct: bool
) -> None:
    controller = await Controller.open(replace(config, allow_direct_routing=direct))
    try:
        web = await starter(ground, controller)("web", [*ANYWHERE, tcp(8081, container_port=81)])
        ground.serve(web.sandbox, "other", port=82)
        seconds = 3 if direct else 0.3
        answer = await ground.ask(ground.client, web.endpoint.ipv4, 80, udp=datagrams, seconds=seconds)
        assert answer == (f"web {CLIENT4} x" if direct else "")
        assert await ground.ask(ground.client, web.endpoint.ipv4, 82, udp=datagrams, seconds=0.3) == ""
    finally:
        await controller.dismantle()
        await controller.close()


@protocols
async def test_a_container_reaches_the_outside_as_the_host(
    ground: Ground, start: Start, datagrams: bool
) -> None:
    ground.serve(ground.client, "outside", port=9000)
    web = await start("web", serve=False)
    assert await ground.ask(web.sandbox, CLIENT4, 9000, udp=datagrams) == f"outside {HOST4} x"


@protocols
async def test_bound_to_a_host_address_it_is_reached_by_no_other(
    ground: Ground, start: Start, datagrams: bool
) -> None:
    await start("web", [tcp(8080, host_ip=HOST4), udp(8080, host_ip=HOST4)])
    assert await ground.ask(ground.client, HOST4, 8080, udp=datagrams) == f"web {CLIENT4} x"
    assert (await ground.ask(ground.host, HOST4, 8080, udp=datagrams)).startswith("web ")
    for address in ("127.0.0.1", "::1", HOST6, "172.17.0.1"):
        assert await ground.ask(ground.host, address, 8080, udp=datagrams, seconds=0.3) == ""
    assert await ground.ask(ground.client, HOST6, 8080, udp=datagrams, seconds=0.3) == ""


@protocols
async def test_published_on_loopback_alone(ground: Ground, start: Start, datagrams: bool) -> None:
    await start("web", [tcp(8080, host_ip="127.0.0.1"), udp(8080, host_ip="127.0.0.1")])
    other = await start("other", serve=False)
    assert (await ground.ask(ground.host, "127.0.0.1", 8080, udp=datagrams)).startswith("web ")
    for where, address in (
        (ground.client, HOST4),
        (ground.client, HOST6),
        (ground.client, "127.0.0.1"),
        (ground.host, HOST4),
        (other.sandbox, HOST4),
        (other.sandbox, "172.17.0.1"),
        (other.sandbox, "127.0.0.1"),
    ):
        assert await ground.ask(where, address, 8080, udp=datagrams, seconds=0.3) == ""


async def test_a_neighbour_that_routes_to_loopback_reaches_nothing(ground: Ground, start: Start) -> None:
    """A hostile one on the wire or in a container sends to 127.0.0.1 by our address."""
    await start("web", [tcp(8080, host_ip="127.0.0.1")])
    ground.serve(ground.host, "host", port=7000, address="127.0.0.1")
    other = await start("other", serve=False)
    for where, gateway in ((ground.client, HOST4), (other.sandbox.fd, "172.17.0.1")):
        _route_loopback(where, gateway)
        for port in (7000, 8080):
            assert await ground.ask(where, "127.0.0.1", port, seconds=0.3) == ""
            assert await ground.ask(where, "127.0.0.2", port, seconds=0.3) == ""
    assert await ground.ask(ground.host, "127.0.0.1", 7000) == "host 127.0.0.1 x"


@protocols
async def test_what_is_not_published_is_not_reached_from_outside(
    ground: Ground, start: Start, datagrams: bool
) -> None:
    web = await start("web", [tcp(8080), udp(8080)])
    assert await ground.ask(ground.client, web.endpoint.ipv4, 80, udp=datagrams, seconds=0.3) == ""
    assert await ground.ask(ground.client, HOST4, 80, udp=datagrams, seconds=0.3) == ""


async def test_published_on_ipv6_alone(ground: Ground, start: Start) -> None:
    await start("web", [tcp(8080, host_ip="::"), tcp(8081, host_ip="::1")])
    assert (await ground.ask(ground.client, HOST6, 8080)).startswith("web ")
    assert (await ground.ask(ground.host, "::1", 8081)).startswith("web ")
    assert await ground.ask(ground.client, HOST4, 8080, seconds=0.3) == ""
    assert await ground.ask(ground.client, HOST6, 8081, seconds=0.3) == ""


async def test_the_sandbox_alone_has_loopback_and_no_ipv6_outside(ground: Ground, start: Start) -> None:
    web = await start("web", serve=False)
    ground.serve(web.sandbox, "inside", port=53, address="::1")
    assert await ground.ask(web.sandbox, "::1", 53) == "inside ::1 x"
    assert await ground.ask(web.sandbox, CLIENT4, 53, seconds=0.3) == ""


def _route_loopback(where: int, gateway: str) -> None:
    def change() -> None:
        for name in ("all", "default", "eth0", "in0"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"/proc/sys/net/ipv4/conf/{name}/route_localnet").write_text("1")
        run("ip", "rule", "add", "pref", "10", "to", "127.0.0.0/8", "lookup", "77")
        run("ip", "route", "add", "default", "via", gateway, "table", "77")
        run("ip", "rule", "add", "pref", "100", "lookup", "local")
        run("ip", "rule", "del", "pref", "0")

    netns.inside(where, change)
