"""Networks and containers made, joined, left and removed all at once, with `kill -9` in between.

Afterwards what the API tells is what the kernel has, and what is removed leaves nothing. The seed is printed;
WHERRY_SEED repeats it, as far as threads let it be repeated.
"""

import json
import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any

import pytest

from tests.daemon import Wherryd
from tests.unix_http import Response

pytestmark = pytest.mark.root

SECONDS = 25
NETWORKS = [f"chaos-n{number}" for number in range(4)]
CONTAINERS = [f"chaos-c{number}" for number in range(6)]
PORT = 18200
DONE = {200, 201, 204, 304, 400, 403, 404, 409}
"""Done, or told that what was meant is gone, in use, or as it should be already."""
EXCUSED = ("port is already allocated", "is not connected to ", "is not running")


class Worker(threading.Thread):
    """Does one thing after the other, at random; what was answered that should not be is in `wrong`."""

    def __init__(self, daemon: Wherryd, seed: str, over: threading.Event) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self._daemon = daemon
        self._dice = random.Random(seed)
        self._over = over

    def run(self) -> None:
        """Go on until it is over. A daemon that is dead will be there again."""
        verbs = [self._create] * 4 + [self._start] * 4 + [self._connect] * 5 + [self._disconnect] * 4
        verbs += [self._stop, self._restart, self._remove, self._make, self._make, self._unmake, self._look]
        while not self._over.is_set():
            try:
                self._dice.choice(verbs)()
            except (OSError, HTTPException, json.JSONDecodeError):
                time.sleep(0.05)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Response:
        answer = self._daemon.call(method, f"/v1.51{path}", body)
        text = answer.body.decode(errors="replace")
        if answer.status not in DONE and not any(excuse in text for excuse in EXCUSED):
            self.wrong.append(f"{method} {path} {body}: {answer.status} {text[:300]}")
        return answer

    @property
    def _network(self) -> str:
        return self._dice.choice([*NETWORKS, *NETWORKS, "bridge"])

    @property
    def _container(self) -> str:
        return self._dice.choice(CONTAINERS)

    def _create(self) -> None:
        name, network = self._container, self._network
        ports: dict[str, Any] = {}
        if self._dice.random() < 0.5:
            ports = {"80/tcp": [{"HostPort": str(PORT + self._dice.randrange(4))}]}
        body = {
            "Image": "busybox",
            "Cmd": ["sleep", "1000"],
            "StopSignal": "SIGKILL",
            "HostConfig": {"NetworkMode": network, "PortBindings": ports},
        }
        self._call("POST", f"/containers/create?name={name}", body)

    def _start(self) -> None:
        self._call("POST", f"/containers/{self._container}/start")

    def _stop(self) -> None:
        self._call("POST", f"/containers/{self._container}/stop?t=0")

    def _restart(self) -> None:
        self._call("POST", f"/containers/{self._container}/restart?t=0")

    def _remove(self) -> None:
        self._call("DELETE", f"/containers/{self._container}?force=1")

    def _connect(self) -> None:
        self._call("POST", f"/networks/{self._network}/connect", {"Container": self._container})

    def _disconnect(self) -> None:
        body = {"Container": self._container, "Force": self._dice.random() < 0.2}
        self._call("POST", f"/networks/{self._network}/disconnect", body)

    def _make(self) -> None:
        body = {"Name": self._dice.choice(NETWORKS), "EnableIPv6": self._dice.random() < 0.3}
        self._call("POST", "/networks/create", body)

    def _unmake(self) -> None:
        self._call("DELETE", f"/networks/{self._dice.choice(NETWORKS)}")

    def _look(self) -> None:
        self._call("GET", self._dice.choice(["/networks", "/containers/json?all=1"]))


def ip(*words: str, pid: int = 0) -> list[dict[str, Any]]:
    """What `ip` tells, on the host or where a process is."""
    enter = ["nsenter", "-t", str(pid), "-n"] if pid else []
    done = subprocess.run([*enter, "ip", "-j", *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout or "[]")  # type: ignore[no-any-return]


def addresses(link: dict[str, Any]) -> set[str]:
    return {f"{each['local']}/{each['prefixlen']}" for each in link["addr_info"] if each["scope"] == "global"}


def told_addresses(endpoint: dict[str, Any]) -> set[str]:
    pairs = (("IPAddress", "IPPrefixLen"), ("GlobalIPv6Address", "GlobalIPv6PrefixLen"))
    return {f"{endpoint[address]}/{endpoint[length]}" for address, length in pairs if endpoint[address]}


class Truth:
    """What the API tells of networks and containers, held against the kernel; `wrong` is where they differ."""

    def __init__(self, daemon: Wherryd) -> None:
        self._daemon = daemon
        self.wrong: list[str] = []
        self._networks = {
            each["Name"]: daemon.get(f"/v1.51/networks/{each['Id']}").json
            for each in daemon.get("/v1.51/networks").json
        }
        self._containers = [
            daemon.get(f"/v1.51/containers/{each['Id']}/json").json
            for each in daemon.get("/v1.51/containers/json?all=1").json
        ]
        self._links = {link["ifname"]: link for link in ip("addr", "show")}
        self._addresses()
        self._bridges()
        self._members()
        for container in self._containers:
            self._container(container)
        self._elements()

    def _expect(self, what: str, told: object, found: object) -> None:
        if told != found:
            self.wrong.append(f"{what}: the API tells {told}, the kernel {found}")

    def _running(self) -> list[dict[str, Any]]:
        return [each for each in self._containers if each["State"]["Running"]]

    def _bridge_of(self, network: dict[str, Any]) -> str:
        named = network["Options"].get("com.docker.network.bridge.name")
        return str(named or f"br-{network['Id'][:12]}")

    def _bridged(self) -> dict[str, dict[str, Any]]:
        return {
            self._bridge_of(network): network
            for network in self._networks.values()
            if network["Driver"] == "bridge"
        }

    def _bridges(self) -> None:
        """The daemon's bridges are those of its networks, each with its gateways."""
        marked = {
            link["ifname"]
            for link in ip("link", "show", "type", "bridge")
            if self._daemon.instance in link.get("ifalias", "")
        }
        bridged = self._bridged()
        self._expect("bridges", set(bridged), marked)
        for name in marked & bridged.keys():
            gateways = {
                f"{pool['Gateway'].partition('/')[0]}/{pool['Subnet'].partition('/')[2]}"
                for pool in bridged[name]["IPAM"]["Config"]
            }
            self._expect(f"addresses of {name}", gateways, addresses(self._links[name]))

    def _members(self) -> None:
        """A network has as many ports as containers that run in it, which are those that it tells of."""
        for bridge, network in self._bridged().items():
            inside = {
                each["Id"]: told_addresses(each["NetworkSettings"]["Networks"][network["Name"]])
                for each in self._running()
                if network["Name"] in each["NetworkSettings"]["Networks"]
            }
            members = {
                container: {address for address in (each["IPv4Address"], each["IPv6Address"]) if address}
                for container, each in network["Containers"].items()
            }
            self._expect(f"containers of {network['Name']}", members, inside)
            ports = [name for name, link in self._links.items() if link.get("master") == bridge]
            self._expect(f"ports of {bridge}", len(inside), len(ports))

    def _container(self, container: dict[str, Any]) -> None:
        """Interfaces, addresses and the way out, as told; none of a container that does not run."""
        name, endpoints = container["Name"], container["NetworkSettings"]["Networks"].values()
        if not container["State"]["Running"]:
            self._expect(f"addresses of {name}", set(), set().union(*map(told_addresses, endpoints)))
            return
        pid = container["State"]["Pid"]
        links = [link for link in ip("addr", "show", pid=pid) if link["ifname"] != "lo"]
        told = sorted((each["MacAddress"], sorted(told_addresses(each))) for each in endpoints)
        found = sorted((link["address"], sorted(addresses(link))) for link in links)
        self._expect(f"interfaces of {name}", told, found)
        ways = {route["gateway"] for route in ip("route", "show", "default", pid=pid)}
        gateways = {each["Gateway"] for each in endpoints if each["Gateway"]}
        self._expect(f"ways out of {name}", bool(gateways), len(ways) == 1 and ways <= gateways)

    def _addresses(self) -> None:
        """No two containers have the same one."""
        told = [
            address
            for each in self._running()
            for endpoint in each["NetworkSettings"]["Networks"].values()
            for address in told_addresses(endpoint)
        ]
        self._expect("addresses", sorted(told), sorted(set(told)))

    def _elements(self) -> None:
        """What nft leads to containers is what they publish."""
        table = f"wherry_{self._daemon.instance}"
        done = subprocess.run(
            ["nft", "-j", "list", "map", "inet", table, "any4"], capture_output=True, text=True, check=True
        )
        (found,) = [item["map"] for item in json.loads(done.stdout)["nftables"] if "map" in item]
        led = {
            (key["concat"][1], value["concat"][0], value["concat"][1]) for key, value in found.get("elem", [])
        }
        published = set()
        for each in self._running():
            here = {e["IPAddress"] for e in each["NetworkSettings"]["Networks"].values()}
            for inner, bindings in each["NetworkSettings"]["Ports"].items():
                for binding in bindings or []:
                    if binding["HostIp"] == "0.0.0.0":
                        (address,) = [one for _, one, _ in led if one in here][:1] or [f"one of {here}"]
                        published.add((int(binding["HostPort"]), address, int(inner.partition("/")[0])))
        self._expect("published ports", published, led)


def let_settle(daemon: Wherryd) -> None:
    """A restart that was cut short is gone on with after the daemon serves again."""
    end = time.monotonic() + 30
    while any(each["State"] == "restarting" for each in daemon.get("/v1.51/containers/json?all=1").json):
        assert time.monotonic() < end, "a container goes on restarting"
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def cleared(mortal: Wherryd, nothing_left: None) -> Iterator[None]:
    """Containers and networks go before leftovers are looked for."""
    yield
    if ids := mortal.docker("ps", "-aq").stdout.split():
        mortal.docker("rm", "-f", *ids)
    mortal.docker("network", "prune", "-f")
    assert [each["Name"] for each in mortal.get("/networks").json if each["Name"].startswith("chaos")] == []


@pytest.mark.timeout(240)
def test_networks_in_a_storm_of_kills(mortal: Wherryd) -> None:
    seed = int(os.environ.get("WHERRY_SEED", time.time_ns() % 100_000))
    print(f"WHERRY_SEED={seed}")
    over = threading.Event()
    workers = [Worker(mortal, f"{seed} {number}", over) for number in range(4)]
    for worker in workers:
        worker.start()
    dice, end = random.Random(seed), time.monotonic() + SECONDS
    try:
        while time.monotonic() < end:
            time.sleep(dice.uniform(1, 5))
            mortal.kill9()
            mortal.start()
    finally:
        over.set()
        for worker in workers:
            worker.join(60)
    mortal.restart()
    wrong = [line for worker in workers for line in worker.wrong]
    assert not wrong, f"seed {seed}\n" + "\n".join(wrong[:10])
    for _ in range(2):
        let_settle(mortal)
        truth = Truth(mortal)
        assert not truth.wrong, f"seed {seed}\n" + "\n".join(truth.wrong)
        mortal.restart()
    assert "Traceback" not in mortal.log.read_text()
