"""The daemon is killed at every step of making and removing networks: it is done or undone at the next boot, and what
is stored is what the kernel has.
"""

import contextlib
import json
import sqlite3
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from engine.networks import create, remove
from tests.crash.dying import is_killed_by
from tests.daemon import Wherryd

pytestmark = pytest.mark.root

MAKING = [f"network_create.{step}" for step in create.STEPS]
REMOVING = [f"network_remove.{step}" for step in remove.STEPS]
ASKED = ("--subnet", "10.201.7.0/24", "--label", "a=b", "--internal", "net")


@pytest.fixture(autouse=True)
def no_network_left(mortal: Wherryd) -> Iterator[None]:
    """After the test there is no network, and no bridge of one."""
    yield
    for name in stored(mortal):
        mortal.docker("network", "rm", name)
    assert bridges(mortal) == set()


def stored(mortal: Wherryd) -> set[str]:
    listed = mortal.docker("network", "ls", "-f", "type=custom", "--format", "{{.Name}}").stdout
    return set(listed.split())


def bridges(mortal: Wherryd) -> set[str]:
    """The bridges in the kernel that are of this daemon's networks."""
    shown = subprocess.run(["ip", "-j", "link", "show", "type", "bridge"], capture_output=True, check=True)
    return {
        each["ifname"]
        for each in json.loads(shown.stdout)
        if mortal.instance in each.get("ifalias", "") and each["ifname"] != mortal.bridge
    }


def bridge_of(mortal: Wherryd, name: str) -> str:
    network_id: str = mortal.get(f"/networks/{name}").json["Id"]
    return f"br-{network_id[:12]}"


def addresses(bridge: str) -> list[str]:
    shown = subprocess.run(["ip", "-j", "-4", "addr", "show", bridge], capture_output=True, check=True)
    return [f"{each['local']}/{each['prefixlen']}" for each in json.loads(shown.stdout)[0]["addr_info"]]


def is_whole(mortal: Wherryd) -> None:
    """The network is there as it was asked for, in the store and in the kernel."""
    shown = mortal.get("/networks/net").json
    assert shown["IPAM"]["Config"] == [{"Subnet": "10.201.7.0/24", "Gateway": "10.201.7.1"}]
    assert (shown["Internal"], shown["Labels"]) == (True, {"a": "b"})
    assert stored(mortal) == {"net"}
    assert bridges(mortal) == {bridge_of(mortal, "net")}
    assert addresses(bridge_of(mortal, "net")) == ["10.201.7.1/24"]


@pytest.mark.parametrize("point", MAKING)
def test_create(mortal: Wherryd, point: str) -> None:
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("network", "create", *ASKED))
    if point == "network_create.made":
        assert stored(mortal) == bridges(mortal) == set()
        mortal.docker("network", "create", *ASKED)
    is_whole(mortal)


@pytest.mark.parametrize("point", REMOVING)
def test_remove(mortal: Wherryd, point: str) -> None:
    mortal.docker("network", "create", *ASKED)
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker("network", "rm", "net"))
    if point == "network_remove.unmade":
        is_whole(mortal)
        mortal.docker("network", "rm", "net")
    assert stored(mortal) == bridges(mortal) == set()
    mortal.docker("network", "create", *ASKED)
    is_whole(mortal)


@pytest.mark.parametrize("point", [*MAKING, *REMOVING])
def test_a_network_that_only_configures(mortal: Wherryd, point: str) -> None:
    """It has nothing in the kernel, and is there or is not."""
    asked = ("network", "create", "--config-only", "--subnet", "10.201.8.0/24", "net")
    if point in REMOVING:
        mortal.docker(*asked)
    mortal.dies_at(point)
    is_killed_by(mortal, lambda: mortal.docker(*(("network", "rm", "net") if point in REMOVING else asked)))
    there = point in ("network_create.recorded", "network_remove.unmade")
    assert stored(mortal) == ({"net"} if there else set())
    assert bridges(mortal) == set()


def test_networks_outlive_the_daemon(mortal: Wherryd) -> None:
    """Whether it is killed or ended: the bridge stays the same one; one that went meanwhile is made again."""
    mortal.docker("network", "create", *ASKED)
    bridge = bridge_of(mortal, "net")
    index = ifindex(bridge)
    mortal.kill9()
    assert ifindex(bridge) == index
    mortal.start()
    is_whole(mortal)
    mortal.restart()
    is_whole(mortal)
    assert ifindex(bridge) == index
    mortal.terminate()
    subprocess.run(["ip", "link", "del", bridge], check=True)
    mortal.start()
    is_whole(mortal)
    assert ifindex(bridge) != index


def ifindex(bridge: str) -> int:
    shown = subprocess.run(["ip", "-j", "link", "show", bridge], capture_output=True, check=True)
    index: int = json.loads(shown.stdout)[0]["ifindex"]
    return index


def test_a_network_that_cannot_be_made_again(mortal: Wherryd) -> None:
    """Somebody took its bridge's name: the daemon comes up and says so, and the network can be removed."""
    mortal.docker("network", "create", *ASKED)
    bridge = bridge_of(mortal, "net")
    mortal.terminate()
    subprocess.run(["ip", "link", "del", bridge], check=True)
    subprocess.run(["ip", "link", "add", bridge, "type", "veth", "peer", "name", "strangers"], check=True)
    try:
        mortal.start()
        assert stored(mortal) == {"net"}
        assert "network net" in mortal.log_tail()
        mortal.docker("network", "rm", "net")
    finally:
        subprocess.run(["ip", "link", "del", bridge], check=True)
    assert stored(mortal) == set()


@pytest.mark.parametrize("loss", ["its bridge's name is taken", "its record is lost"])
def test_a_container_whose_network_cannot_be_made_again(mortal: Wherryd, loss: str) -> None:
    """It runs on, and the daemon warns; it can be stopped, and is told of its network when it is to start again."""
    mortal.docker("network", "create", *ASKED)
    mortal.docker("network", "create", "beside")
    mortal.docker("run", "-d", "--name", "cc", "--network", "net", "busybox", "sleep", "1000")
    mortal.docker("network", "connect", "beside", "cc")
    bridge, pid = bridge_of(mortal, "net"), state_of(mortal)["Pid"]
    mortal.kill9()
    if loss == "its record is lost":
        with contextlib.closing(sqlite3.connect(mortal.data_root / "state.db")) as database, database:
            of_net = "json_extract(CAST(record AS TEXT), '$.name') = 'net'"
            assert database.execute(f"DELETE FROM networks WHERE {of_net}").rowcount == 1
    else:
        subprocess.run(["ip", "link", "del", bridge], check=True)
        subprocess.run(["ip", "link", "add", bridge, "type", "veth", "peer", "name", "strangers"], check=True)
    try:
        mortal.start()
        assert state_of(mortal) | {"Running": True, "Pid": pid} == state_of(mortal)
        assert "network net is not there any more" in mortal.log_tail()
        assert mortal.docker("exec", "cc", "ping", "-c1", "-W2", "cc").returncode == 0
        mortal.docker("stop", "-t0", "cc")
        assert "net" in mortal.docker("start", "cc", check=False).stderr
        assert not state_of(mortal)["Running"]
        mortal.docker("rm", "-f", "cc")
        mortal.docker("network", "rm", "net", check=False)
        mortal.docker("network", "rm", "beside")
    finally:
        subprocess.run(["ip", "link", "del", bridge], capture_output=True)
    assert stored(mortal) == set()


def state_of(mortal: Wherryd) -> dict[str, Any]:
    found: dict[str, Any] = mortal.get("/containers/cc/json").json["State"]
    return found
