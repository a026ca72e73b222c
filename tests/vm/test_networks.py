"""Networks that need more of the kernel than every kernel has: ipvlan, VLANs, dummies, SCTP.

`far` is a second host, behind the wire `wire0`; it is 10.66.0.1 and fd66::1 on it.
"""

from collections.abc import Iterator

import pytest

from tests.vm.machine import Machine

SERVER = """
import socket, sys
server = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
server.bind(("::", 5000)); server.listen(); print("ready", flush=True)
while True:
    peer, _ = server.accept(); peer.sendall(b"heard " + peer.recv(100)); peer.close()
"""
CLIENT = """
import socket, sys
host = sys.argv[1]
family = socket.AF_INET6 if ":" in host else socket.AF_INET
client = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
client.settimeout(10); client.connect((host, int(sys.argv[2]))); client.sendall(b"me"); print(client.recv(100).decode())
"""


@pytest.fixture
def wired(vm: Machine) -> Iterator[Machine]:
    """The machine with a second host; the networks that a test makes are removed after it."""
    vm.run(
        "ip netns add far && ip link add name wire0 type veth peer name wire1 netns far && ip link set wire0 up"
    )
    vm.run(
        "ip -n far address add 10.66.0.1/24 dev wire1 && ip -n far -6 address add fd66::1/64 dev wire1 nodad"
    )
    vm.run("ip -n far link set wire1 up && ip -n far link set lo up")
    yield vm
    vm.run(
        "docker ps -aq | xargs -r docker rm -f; docker network ls -qf type=custom | xargs -r docker network rm"
    )
    vm.run("ip link delete wire0; ip netns delete far")


def start(vm: Machine, name: str, network: str, *options: str) -> None:
    vm.run(f"docker run -d --name {name} --network {network} {' '.join(options)} busybox sleep 1000")


def links(vm: Machine) -> set[str]:
    """The names of the interfaces of the host."""
    return set(vm.output("ls /sys/class/net").split())


def reaches(vm: Machine, container: str, host: str) -> bool:
    return vm.run(f"docker exec {container} ping -c 1 -W 3 {host}", check=False).code == 0


def test_ipvlan_on_the_wire(wired: Machine) -> None:
    pools = "--subnet 10.66.0.0/24 --gateway 10.66.0.1 --ipv6 --subnet fd66::/64 --gateway fd66::1"
    wired.run(f"docker network create -d ipvlan {pools} -o parent=wire0 lan")
    told = wired.run(
        "docker network create -d ipvlan --subnet 10.9.0.0/24 -o parent=wire0 other", check=False
    )
    assert "is already using parent interface wire0" in told.output
    start(wired, "one", "lan")
    start(wired, "two", "lan", "--ip", "10.66.0.77")
    for _ in range(2):
        assert reaches(wired, "one", "two")
        assert reaches(wired, "one", "10.66.0.1")
        assert reaches(wired, "two", "fd66::1")
        wired.run("ip netns exec far busybox ping -c 1 -W 3 10.66.0.77")
        wired.run("systemctl restart wherry.service")
    assert "default via 10.66.0.1 dev eth0" in wired.output("docker exec one ip route")
    mac = "cat /sys/class/net/{}/address"
    assert wired.output(f"docker exec one {mac.format('eth0')}") == wired.output(mac.format("wire0"))
    told = wired.run(
        "docker run --rm --network lan --mac-address 02:00:00:00:00:01 busybox true", check=False
    )
    assert "ipvlan interfaces do not support custom mac address assignment" in told.output
    wired.run("docker network disconnect lan two")
    assert wired.output("docker exec two ls /sys/class/net") == "lo"
    start(wired, "three", "lan", "--ip", "10.66.0.77")


def test_ipvlan_above_the_wire(wired: Machine) -> None:
    pools = "--subnet 10.67.0.0/24 --subnet 10.68.0.0/24"
    wired.run(f"docker network create -d ipvlan {pools} -o parent=wire0 -o ipvlan_mode=l3 routed")
    start(wired, "one", "routed")
    start(wired, "two", "routed", "--ip", "10.68.0.5")
    assert wired.output("docker exec two ip route").startswith("default dev eth0")
    assert reaches(wired, "one", "10.68.0.5")
    assert wired.output("docker inspect -f '{{.NetworkSettings.Networks.routed.Gateway}}' two") == ""
    wired.run("docker network create zone && docker network connect zone two")
    assert wired.output("docker exec two ip route").startswith("default dev eth0")
    wired.run("docker network disconnect routed two")
    assert wired.output("docker exec two ip route").startswith("default via ")


def test_a_vlan_is_made_and_goes_with_its_last_network(wired: Machine) -> None:
    wired.run("ip -n far link add link wire1 name wire1.10 type vlan id 10 && ip -n far link set wire1.10 up")
    wired.run("ip -n far address add 10.69.0.1/24 dev wire1.10")
    before = links(wired)
    wired.run(
        "docker network create -d macvlan --subnet 10.69.0.0/24 --gateway 10.69.0.1 -o parent=wire0.10 ten"
    )
    wired.run("docker network create -d macvlan --subnet 10.70.0.0/24 -o parent=wire0.10 again")
    start(wired, "one", "ten")
    wired.run("systemctl restart wherry.service")
    assert links(wired) - before == {"wire0.10"}
    assert reaches(wired, "one", "10.69.0.1")
    wired.run("docker rm -f one && docker network rm ten")
    assert links(wired) - before == {"wire0.10"}
    wired.run("docker network rm again")
    assert links(wired) == before


@pytest.mark.parametrize(("driver", "prefix"), [("macvlan", "dm-"), ("ipvlan", "di-")])
def test_without_a_parent_containers_reach_each_other_alone(wired: Machine, driver: str, prefix: str) -> None:
    before = links(wired)
    network_id = wired.output(f"docker network create -d {driver} --subnet 10.71.0.0/24 alone")
    assert links(wired) - before == {prefix + network_id[:12]}
    start(wired, "one", "alone")
    start(wired, "two", "alone")
    assert reaches(wired, "one", "two")
    assert "default" not in wired.output("docker exec one ip route")
    wired.run("systemctl stop wherry.service")
    wired.run(f"ip link delete {prefix}{network_id[:12]}")
    wired.run("systemctl start wherry.service && docker rm -f one two")
    assert links(wired) - before == {prefix + network_id[:12]}
    wired.run("docker network rm alone")
    assert links(wired) == before


def test_a_published_port_of_sctp(wired: Machine) -> None:
    wired.run("ip address add 10.66.0.9/24 dev wire0")
    wired.run("docker run -d --name one -p 6000:5000/sctp busybox sleep 1000")
    pid = wired.output("docker inspect -f '{{.State.Pid}}' one")
    wired.run(f"cat >/tmp/server.py <<'END'\n{SERVER}END\ncat >/tmp/client.py <<'END'\n{CLIENT}END\n")
    wired.run(f"nsenter -t {pid} -n python3 /tmp/server.py >/tmp/server.out 2>&1 &")
    wired.until("cat /tmp/server.out", "ready")
    assert wired.output("docker port one").splitlines()[0] == "5000/sctp -> 0.0.0.0:6000"
    assert wired.output("ip netns exec far python3 /tmp/client.py 10.66.0.9 6000") == "heard me"
    assert wired.output("python3 /tmp/client.py 127.0.0.1 6000") == "heard me"
    taken = wired.run("docker run --rm -p 6000:5000/sctp busybox true", check=False)
    assert "port is already allocated" in taken.output
    wired.run("docker rm -f one")
    refused = wired.run("ip netns exec far python3 /tmp/client.py 10.66.0.9 6000", check=False)
    assert refused.code != 0
