"""A daemon that is killed at any step of connect, disconnect and a start in three networks: record and kernel agree.

Each death is of the same containers as the one before, by a daemon that is to die of the next step: that it comes
there tells that it got over the last.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from engine.containers import connect, disconnect
from tests.crash.dying import dies_of
from tests.daemon import Wherryd

pytestmark = pytest.mark.root

NETWORKS = ("na", "nb", "nc")


@pytest.fixture(autouse=True)
def networks(mortal: Wherryd, nothing_left: None) -> Iterator[None]:
    """Three networks; containers and they go before leftovers are looked for."""
    for name in NETWORKS:
        mortal.docker("network", "create", name)
    yield
    mortal.docker("rm", "-f", *mortal.docker("ps", "-aq").stdout.split())
    mortal.docker("network", "rm", *NETWORKS)


def shown(mortal: Wherryd, name: str) -> dict[str, Any]:
    found: dict[str, Any] = mortal.get(f"/v1.51/containers/{name}/json").json
    return found


def is_in(mortal: Wherryd, network: str, name: str = "cc") -> bool:
    return network in shown(mortal, name)["NetworkSettings"]["Networks"]


def agrees_with_the_kernel(mortal: Wherryd, name: str, point: str) -> None:
    """Its interfaces have the addresses of its endpoints and no others; default route, hosts file and ports follow."""
    record = shown(mortal, name)
    endpoints = record["NetworkSettings"]["Networks"].values()
    told = {each["IPAddress"] for each in endpoints}
    script = "ip -o -4 addr; echo ==; ip route; echo ==; cat /etc/hosts"
    addresses, routes, hosts = mortal.docker("exec", name, "sh", "-c", script).stdout.split("==\n")
    found = {line.split()[3].partition("/")[0] for line in addresses.splitlines()}
    assert found == {"127.0.0.1", *told}, point
    named = {line.split()[0] for line in hosts.splitlines() if line.endswith(f"\t{record['Id'][:12]}")}
    assert named == told, point
    leads = any(f"default via {each['Gateway']} " in routes for each in endpoints)
    assert leads == bool(told), point
    assert record["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"] == "18083", point


def reaches(mortal: Wherryd, name: str, target: str) -> bool:
    return mortal.docker("exec", name, "ping", "-c1", "-W1", target, check=False).returncode == 0


def run(mortal: Wherryd, name: str, *options: str) -> None:
    mortal.docker("run", "-d", "--name", name, *options, "busybox", "sleep", "1000")


def deaths(mortal: Wherryd, verb: str, points: Sequence[str], action: Callable[[], object]) -> Iterator[str]:
    """Let the daemon die of the action at each point; it runs again at each that is given."""
    mortal.dies_at(f"{verb}.{points[0]}")
    for point, following in zip(points, (*points[1:], ""), strict=True):
        dies_of(mortal, action)
        if following:
            mortal.dies_at(f"{verb}.{following}")
        else:
            mortal.start()
        yield point


def test_connect(mortal: Wherryd) -> None:
    run(mortal, "other", "--network", "na")
    run(mortal, "cc", "--network", "nb", "-p", "18083:80")

    def connect_it() -> None:
        mortal.docker("network", "connect", "na", "cc")

    for point in deaths(mortal, "connect", connect.STEPS, connect_it):
        agrees_with_the_kernel(mortal, "cc", point)
        if is_in(mortal, "na"):
            assert reaches(mortal, "other", "cc"), point
            mortal.docker("network", "disconnect", "na", "cc")
            agrees_with_the_kernel(mortal, "cc", point)
    connect_it()
    agrees_with_the_kernel(mortal, "cc", "")
    assert reaches(mortal, "other", "cc")


def test_disconnect(mortal: Wherryd) -> None:
    run(mortal, "other", "--network", "na")
    run(mortal, "cc", "--network", "na", "--network", "nb", "-p", "18083:80")

    def disconnect_it() -> None:
        mortal.docker("network", "disconnect", "na", "cc")

    for point in deaths(mortal, "disconnect", disconnect.STEPS, disconnect_it):
        agrees_with_the_kernel(mortal, "cc", point)
        if not is_in(mortal, "na"):
            assert not reaches(mortal, "other", "cc"), point
            mortal.docker("network", "connect", "na", "cc")
            agrees_with_the_kernel(mortal, "cc", point)
        assert reaches(mortal, "other", "cc"), point
    disconnect_it()
    agrees_with_the_kernel(mortal, "cc", "")
    assert not reaches(mortal, "other", "cc")


def test_start_in_three_networks(mortal: Wherryd) -> None:
    run(mortal, "other", "--network", "nc")
    options = [word for name in NETWORKS for word in ("--network", name)]
    mortal.docker("create", "--name", "cc", "-p", "18083:80", *options, "busybox", "sleep", "1000")
    points = ("sandbox", "endpoint", "endpoints", "ports", "save")
    for point in deaths(mortal, "start", points, lambda: mortal.docker("start", "cc")):
        if shown(mortal, "cc")["State"]["Running"]:
            agrees_with_the_kernel(mortal, "cc", point)
            mortal.docker("stop", "-t0", "cc")
    mortal.docker("start", "cc")
    agrees_with_the_kernel(mortal, "cc", "")
    assert len(shown(mortal, "cc")["NetworkSettings"]["Networks"]) == 3
    assert reaches(mortal, "other", "cc")
