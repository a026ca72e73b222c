"""A daemon that is killed while a network or container of a plugin is made: the plugin keeps what records tell of."""

import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.containers import connect
from tests.crash.dying import dies_of, is_killed_by
from tests.daemon import Wherryd
from tests.network.plugins import Plugin
from tests.waiting import eventually

pytestmark = pytest.mark.root

SOCKETS = Path("/run/docker/plugins")


@pytest.fixture
def plugin(mortal: Wherryd, tmp_path: Path, nothing_left: None) -> Iterator[Plugin]:
    """A plugin for networks and addresses; what it holds at the end is what nobody took back."""
    SOCKETS.mkdir(parents=True, exist_ok=True)
    suffix = secrets.token_hex(3)
    plugin = Plugin(tmp_path / "plugin", (f"net{suffix}", f"ipam{suffix}"), SOCKETS)
    try:
        yield plugin
        if not mortal.alive:
            mortal.start()
        mortal.docker("rm", "-f", "cc", check=False)
        mortal.docker("network", "prune", "-f")
        holds(plugin, pools=0, addresses=0, links=0)
        # That it is given back is noted after it.
        eventually(lambda: list((mortal.data_root / "held").iterdir()) == [])
    finally:
        mortal.docker("rm", "-f", "cc", check=False)
        mortal.docker("network", "prune", "-f", check=False)
        plugin.remove()


def links(plugin: Plugin) -> set[str]:
    """The bridges and ports that it made and nobody had it remove."""
    made = {
        "NetworkDriver.CreateNetwork": ("tp", "NetworkID"),
        "NetworkDriver.CreateEndpoint": ("to", "EndpointID"),
    }
    shown = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    there = {line.split(": ")[1].partition("@")[0] for line in shown.splitlines()}
    return there & {
        f"{prefix}{call['body'][key][:10]}"
        for call in plugin.calls(anew=True)
        for prefix, key in [made.get(call["method"], ("", ""))]
        if prefix
    }


def holds(plugin: Plugin, **expected: int) -> None:
    """It comes to hold that many pools, addresses and links: what is taken back at boot is so soon after it."""
    end = time.monotonic() + 20
    while True:
        taken = plugin.taken()
        found = {
            "pools": len(taken),
            "addresses": sum(map(len, taken.values())),
            "links": len(links(plugin)),
        }
        if found == expected:
            return
        assert time.monotonic() < end, (found, expected)
        time.sleep(0.05)


def create(mortal: Wherryd, plugin: Plugin, name: str, *, check: bool = True) -> None:
    driver, ipam = plugin.names
    mortal.docker("network", "create", "-d", driver, "--ipam-driver", ipam, name, check=check)


def killed_while_asked(
    mortal: Wherryd, plugin: Plugin, method: str, action: Callable[[], object], made: int
) -> None:
    """The daemon is killed while the plugin does as it is asked, which ends after that: with so many links made."""
    plugin.fails(**{f"NetworkDriver_{method}": {"seconds": 2}})
    plugin.calls()
    worker = threading.Thread(target=_quietly, args=(action,), daemon=True)
    worker.start()
    eventually(lambda: f"NetworkDriver.{method}" in {call["method"] for call in plugin.calls(anew=True)})
    mortal.kill9()
    worker.join(20)
    eventually(lambda: len(links(plugin)) == made)
    plugin.fails()
    mortal.start()


def _quietly(action: Callable[[], object]) -> None:
    try:
        action()
    except (OSError, AssertionError):
        pass


def test_a_network(mortal: Wherryd, plugin: Plugin) -> None:
    mortal.dies_at("network_create.made")
    is_killed_by(mortal, lambda: create(mortal, plugin, "n"))
    holds(plugin, pools=0, addresses=0, links=0)
    mortal.dies_at("network_create.recorded")
    is_killed_by(mortal, lambda: create(mortal, plugin, "n"))
    holds(plugin, pools=1, addresses=1, links=1)
    mortal.restart()
    assert "n" in mortal.docker("network", "ls", "--format", "{{.Name}}").stdout.split()
    holds(plugin, pools=1, addresses=1, links=1)


def test_a_network_that_is_being_made(mortal: Wherryd, plugin: Plugin) -> None:
    killed_while_asked(mortal, plugin, "CreateNetwork", lambda: create(mortal, plugin, "n"), made=1)
    holds(plugin, pools=0, addresses=0, links=0)


@pytest.mark.parametrize("method", ["CreateEndpoint", "Join"])
def test_an_endpoint_that_is_being_made(mortal: Wherryd, plugin: Plugin, method: str) -> None:
    create(mortal, plugin, "n")
    mortal.docker("create", "--name", "cc", "--network", "n", "busybox", "sleep", "1000")
    killed_while_asked(mortal, plugin, method, lambda: mortal.docker("start", "cc"), made=2)
    holds(plugin, pools=1, addresses=1, links=1)
    mortal.docker("start", "cc")
    holds(plugin, pools=1, addresses=2, links=2)


@pytest.mark.parametrize("point", ["endpoint", "ports", "save"])
def test_a_start(mortal: Wherryd, plugin: Plugin, point: str) -> None:
    create(mortal, plugin, "n")
    mortal.docker("create", "--name", "cc", "--network", "n", "busybox", "sleep", "1000")
    mortal.dies_at(f"start.{point}")
    is_killed_by(mortal, lambda: mortal.docker("start", "cc"))
    runs = mortal.get("/containers/cc/json").json["State"]["Running"]
    holds(plugin, pools=1, addresses=1 + runs, links=1 + runs)


@pytest.mark.parametrize("point", connect.STEPS)
def test_a_connect(mortal: Wherryd, plugin: Plugin, point: str) -> None:
    create(mortal, plugin, "n")
    mortal.docker("run", "-d", "--name", "cc", "busybox", "sleep", "1000")
    mortal.dies_at(f"connect.{point}")
    is_killed_by(mortal, lambda: mortal.docker("network", "connect", "n", "cc"))
    connected = "n" in mortal.get("/containers/cc/json").json["NetworkSettings"]["Networks"]
    holds(plugin, pools=1, addresses=1 + connected, links=1 + connected)


def test_a_container_that_ended_without_a_daemon(mortal: Wherryd, plugin: Plugin) -> None:
    create(mortal, plugin, "n")
    mortal.docker("run", "-d", "--name", "cc", "--network", "n", "busybox", "sleep", "1000")
    pid = mortal.get("/containers/cc/json").json["State"]["Pid"]
    mortal.kill9()
    subprocess.run(["kill", "-9", str(pid)], check=True)
    mortal.start()
    holds(plugin, pools=1, addresses=1, links=1)


def test_a_plugin_that_is_away_at_boot(mortal: Wherryd, plugin: Plugin) -> None:
    """It is asked at the boot after that. No pool of its own: those would be forgotten with its process."""
    driver = plugin.names[0]
    mortal.dies_at("network_create.made")
    dies_of(mortal, lambda: mortal.docker("network", "create", "-d", driver, "n"))
    plugin.stop()
    mortal.start()
    mortal.terminate()
    assert len(links(plugin)) == 1
    plugin.start()
    mortal.start()
    holds(plugin, pools=0, addresses=0, links=0)
