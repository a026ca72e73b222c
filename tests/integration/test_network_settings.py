"""Settings of the network in daemon.json or as flags, as they are felt by networks and containers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Wherryd
from tests.roots import make_root
from tests.wire.answers import Answers, watch

pytestmark = pytest.mark.root

FLAGS = (
    *("--bip=10.205.0.1/16", "--fixed-cidr=10.205.4.0/24", "--default-gateway=10.205.0.254", "--icc=false"),
    *("--ipv6", "--fixed-cidr-v6=fd05:205::/80", "--mtu=1450", "--ip=127.0.0.1", "--ip-masq=false"),
    *(
        "--default-address-pool=base=10.206.0.0/23,size=24",
        "--default-address-pool=base=fd05:206::/48,size=64",
    ),
    "--default-network-opt=bridge=com.docker.network.driver.mtu=1400",
    *("--host-gateway-ip=fd05:1::9", "--host-gateway-ip=192.0.2.9"),
)


@pytest.fixture(scope="module")
def daemon(busybox_tar: Path, session_root: Path, watched: list[Answers]) -> Iterator[Wherryd]:
    daemon = Wherryd(make_root(), FLAGS)
    watched += watch(daemon, session_root)
    with daemon.running(busybox_tar):
        yield daemon


def shown(daemon: Wherryd, *names: str) -> list[dict[str, Any]]:
    return list(json.loads(daemon.docker("inspect", *names).stdout))


def inside(daemon: Wherryd, network: str, command: str) -> str:
    return daemon.docker("run", "--rm", "--network", network, "busybox", "sh", "-c", command).stdout


def test_the_default_bridge_is_as_it_is_set(daemon: Wherryd) -> None:
    for _ in range(2):
        (bridge,) = shown(daemon, "bridge")
        assert bridge["IPAM"]["Config"] == [
            {
                "Subnet": "10.205.0.0/16",
                "IPRange": "10.205.4.0/24",
                "Gateway": "10.205.0.1",
                "AuxiliaryAddresses": {"DefaultGatewayIPv4": "10.205.0.254"},
            },
            {"Subnet": "fd05:205::/80", "Gateway": "fd05:205::1"},
        ]
        assert bridge["EnableIPv6"]
        options = {key.rpartition(".")[2]: value for key, value in bridge["Options"].items()}
        assert (options["enable_icc"], options["enable_ip_masquerade"]) == ("false", "false")
        assert (options["mtu"], options["host_binding_ipv4"]) == ("1450", "127.0.0.1")
        daemon.restart()
    seen = inside(
        daemon, "bridge", "cat /sys/class/net/eth0/mtu; ip -o address show eth0; ip route; ip -6 route"
    )
    lines = seen.splitlines()
    assert lines[0] == "1450"
    assert "inet 10.205.4.0/16 " in seen
    assert "inet6 fd05:205::2/80 " in seen
    assert "default via 10.205.0.254 dev eth0 " in lines
    assert any(line.startswith("default via fd05:205::1 dev eth0") for line in lines)


def test_containers_of_the_default_bridge(daemon: Wherryd) -> None:
    daemon.docker("run", "-d", "--name", "one", "-p", "80", "busybox", "sleep", "300")
    (one,) = shown(daemon, "one")
    assert [each["HostIp"] for each in one["NetworkSettings"]["Ports"]["80/tcp"]] == ["127.0.0.1"]
    address = one["NetworkSettings"]["IPAddress"]
    ping = f"ping -c 1 -W 1 {address} >/dev/null; echo $?"
    assert inside(daemon, "bridge", ping) == "1\n"
    daemon.docker("network", "create", "--subnet", "10.207.0.0/24", "free")
    daemon.docker("network", "connect", "free", "one")
    assert inside(daemon, "free", "ping -c 1 -W 5 one >/dev/null; echo $?") == "0\n"
    daemon.docker("rm", "-f", "one")
    daemon.docker("network", "rm", "free")


@pytest.mark.parametrize("network", ["bridge", "host"])
def test_the_host_goes_by_the_addresses_that_are_set(daemon: Wherryd, network: str) -> None:
    show = ("--add-host", "up:host-gateway", "busybox", "grep", "up$", "/etc/hosts")
    assert (
        daemon.docker("run", "--rm", "--network", network, *show).stdout == "192.0.2.9\tup\nfd05:1::9\tup\n"
    )


def test_networks_get_subnets_of_the_pools_until_there_are_none(daemon: Wherryd) -> None:
    for name in ("red", "blue"):
        daemon.docker("network", "create", "--ipv6", name)
    red, blue = shown(daemon, "red", "blue")
    assert [each["Subnet"] for each in red["IPAM"]["Config"]] == ["10.206.0.0/24", "fd05:206::/64"]
    assert [each["Subnet"] for each in blue["IPAM"]["Config"]] == ["10.206.1.0/24", "fd05:206:0:1::/64"]
    assert red["Options"] == {"com.docker.network.driver.mtu": "1400"}
    assert inside(daemon, "red", "cat /sys/class/net/eth0/mtu") == "1400\n"

    full = daemon.docker("network", "create", "green", check=False).stderr
    assert "all of 10.206.0.0/23 in subnets of /24 is held by 2 networks (blue, red)" in full
    taken = daemon.docker("network", "create", "--subnet", "10.206.1.128/25", "green", check=False).stderr
    assert "Pool overlaps with other one on this address space" in taken
    assert "10.206.1.0/24 of network blue" in taken

    daemon.docker("network", "rm", "red")
    daemon.docker("network", "create", "green")
    assert shown(daemon, "green")[0]["IPAM"]["Config"][0]["Subnet"] == "10.206.0.0/24"
    daemon.docker("network", "rm", "green", "blue")
