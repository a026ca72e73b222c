"""A macvlan network by the CLI, through a kill of the daemon."""

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon import Wherryd

pytestmark = pytest.mark.root


def ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True)


@pytest.fixture
def parent() -> Iterator[str]:
    """An interface of the host with a wire that leads nowhere."""
    name = f"wmv{os.getpid()}"
    ip("link", "add", "name", name, "type", "veth", "peer", "name", f"{name}x")
    for each in (name, f"{name}x"):
        ip("link", "set", each, "up")
    yield name
    ip("link", "delete", name)


def inspected(wherryd: Wherryd, name: str) -> dict[str, Any]:
    (found,) = json.loads(wherryd.docker("inspect", name).stdout)
    return dict(found)


def test_macvlan_by_the_cli(wherryd: Wherryd, parent: str) -> None:
    options = ("--subnet", "10.208.0.0/24", "--gateway", "10.208.0.254", "-o", f"parent={parent}")
    wherryd.docker("network", "create", "-d", "macvlan", *options, "lan")
    for name in ("one", "two"):
        wherryd.docker("run", "-d", "--name", name, "--network", "lan", "-p", "80", "busybox", "sleep", "300")
    place = inspected(wherryd, "one")["NetworkSettings"]["Networks"]["lan"]
    assert (place["IPAddress"], place["Gateway"], place["MacAddress"]) == (
        *("10.208.0.1", "10.208.0.254", "02:42:0a:d0:00:01"),
    )
    shown = inspected(wherryd, "lan")
    assert (shown["Driver"], shown["Options"]) == ("macvlan", {"parent": parent})
    assert {each["IPv4Address"] for each in shown["Containers"].values()} == {
        "10.208.0.1/24",
        "10.208.0.2/24",
    }
    assert wherryd.docker("port", "one").stdout == ""
    for _ in range(2):
        assert (
            "1 packets received" in wherryd.docker("exec", "one", "ping", "-c", "1", "-W", "5", "two").stdout
        )
        wherryd.kill9()
        wherryd.start()
    wherryd.docker("restart", "-t", "0", "two")
    assert inspected(wherryd, "two")["NetworkSettings"]["Networks"]["lan"]["IPAddress"] == "10.208.0.2"
    assert "active endpoints" in wherryd.docker("network", "rm", "lan", check=False).stderr
    wherryd.docker("rm", "-f", "one", "two")
    wherryd.docker("network", "rm", "lan")
