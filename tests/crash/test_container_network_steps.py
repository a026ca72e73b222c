"""A daemon that is killed at any step of connect, disconnect and a start in three networks: record and kernel agree."""

from collections.abc import Iterator
from typing import Any

import pytest

from engine.containers import connect, disconnect
from tests.crash.dying import is_killed_by
from tests.daemon import Wherryd

pytestmark = pytest.mark.root

NETWORKS = {"na": "10.84.0", "nb": "10.85.0", "nc": "10.86.0"}


@pytest.fixture(autouse=True)
def networks(mortal: Wherryd, nothing_left: None) -> Iterator[None]:
    """Three networks; containers and they go before leftovers are looked for."""
    for name, prefix in NETWORKS.items():
        mortal.docker("network", "create", "--subnet", f"{prefix}.0/24", name)
    yield
    mortal.docker("rm", "-f", *mortal.docker("ps", "-aq").stdout.split())
    mortal.docker("network", "rm", *NETWORKS)


def shown(mortal: Wherryd, name: str) -> dict[str, Any]:
    found: dict[str, Any] = mortal.get(f"/v1.51/containers/{name}/json").json
    return found


def agrees_with_the_kernel(mortal: Wherryd, name: str) -> None:
    """Its interfaces have the addresses of its endpoints and no others; default route, hosts file and ports follow."""
    endpoints = shown(mortal, name)["NetworkSettings"]["Networks"].values()
    told = {each["IPAddress"] for each in endpoints}
    lines = mortal.docker("exec", name, "ip", "-o", "-4", "addr").stdout.splitlines()
    assert {line.split()[3].partition("/")[0] for line in lines} == {"127.0.0.1", *told}
    route = mortal.docker("exec", name, "ip", "route").stdout
    own = mortal.docker("exec", name, "cat", "/etc/hosts").stdout
    named = {
        line.split()[0] for line in own.splitlines() if line.endswith(f"\t{shown(mortal, name)['Id'][:12]}")
    }
    assert named == told
    assert any(f"default via {each['Gateway']} " in route for each in endpoints) == bool(told)


def reaches(mortal: Wherryd, name: str, target: str) -> bool:
    return mortal.docker("exec", name, "ping", "-c1", "-W2", target, check=False).returncode == 0


@pytest.mark.parametrize("point", connect.STEPS)
def test_connect(mortal: Wherryd, point: str) -> None:
    mortal.docker("run", "-d", "--name", "other", "--network", "na", "busybox", "sleep", "1000")
    options = ("--network", "nb", "-p", "18083:80")
    mortal.docker("run", "-d", "--name", "cc", *options, "busybox", "sleep", "1000")
    mortal.dies_at(f"connect.{point}")
    is_killed_by(mortal, lambda: mortal.docker("network", "connect", "na", "cc"))
    agrees_with_the_kernel(mortal, "cc")
    if "na" not in shown(mortal, "cc")["NetworkSettings"]["Networks"]:
        mortal.docker("network", "connect", "na", "cc")
    agrees_with_the_kernel(mortal, "cc")
    assert reaches(mortal, "other", "cc")
    assert mortal.docker("port", "cc").stdout


@pytest.mark.parametrize("point", disconnect.STEPS)
def test_disconnect(mortal: Wherryd, point: str) -> None:
    mortal.docker("run", "-d", "--name", "other", "--network", "na", "busybox", "sleep", "1000")
    options = ("--network", "na", "--network", "nb", "-p", "18083:80")
    mortal.docker("run", "-d", "--name", "cc", *options, "busybox", "sleep", "1000")
    mortal.dies_at(f"disconnect.{point}")
    is_killed_by(mortal, lambda: mortal.docker("network", "disconnect", "na", "cc"))
    agrees_with_the_kernel(mortal, "cc")
    if "na" in shown(mortal, "cc")["NetworkSettings"]["Networks"]:
        mortal.docker("network", "disconnect", "na", "cc")
    agrees_with_the_kernel(mortal, "cc")
    assert not reaches(mortal, "other", "cc")
    assert mortal.docker("port", "cc").stdout
    mortal.docker("network", "connect", "na", "cc")
    assert reaches(mortal, "other", "cc")


@pytest.mark.parametrize("point", ["sandbox", "endpoint", "endpoints", "ports", "save"])
def test_start_in_three_networks(mortal: Wherryd, point: str) -> None:
    options = [word for name in NETWORKS for word in ("--network", name)]
    mortal.docker("create", "--name", "cc", "-p", "18083:80", *options, "busybox", "sleep", "1000")
    mortal.dies_at(f"start.{point}")
    is_killed_by(mortal, lambda: mortal.docker("start", "cc"))
    if not shown(mortal, "cc")["State"]["Running"]:
        mortal.docker("start", "cc")
    agrees_with_the_kernel(mortal, "cc")
    assert len(shown(mortal, "cc")["NetworkSettings"]["Networks"]) == 3
    mortal.docker("run", "-d", "--name", "other", "--network", "nc", "busybox", "sleep", "1000")
    assert reaches(mortal, "other", "cc")
