"""Networks as users have them: by the official CLI and docker-py."""

import concurrent.futures
import ipaddress
import json
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import docker
import docker.types
import pytest

from tests.daemon import Wherryd
from tests.waiting import eventually

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def no_network_left(wherryd: Wherryd) -> Iterator[None]:
    """Each test removes what it makes; a bridge that is left is found with all else that is."""
    yield
    left = names(wherryd, "-f", "type=custom")
    for name in left:
        wherryd.docker("network", "rm", name, check=False)
    assert left == set()


def names(wherryd: Wherryd, *options: str) -> set[str]:
    return set(wherryd.docker("network", "ls", "--format", "{{.Name}}", *options).stdout.split())


def shown(wherryd: Wherryd, name: str) -> dict[str, Any]:
    (found,) = json.loads(wherryd.docker("network", "inspect", name).stdout)
    return dict(found)


def refused(wherryd: Wherryd, *args: str) -> str:
    done = wherryd.docker(*args, check=False)
    assert done.returncode != 0, done.stdout
    return done.stderr


def test_the_cli(wherryd: Wherryd) -> None:
    made = wherryd.docker("network", "create", "--label", "a=b", "one").stdout.strip()
    options = ("--subnet", "10.203.0.0/16", "--ip-range", "10.203.5.0/24", "--gateway", "10.203.0.9")
    more = ("--aux-address", "router=10.203.5.1", "--internal", "--attachable", "-o", "any=thing")
    wherryd.docker("network", "create", "-d", "bridge", *options, *more, "two")
    assert names(wherryd) == {"bridge", "host", "none", "one", "two"}
    assert names(wherryd, "-f", "label=a") == {"one"}
    assert names(wherryd, "-f", "name=tw", "-f", "driver=bridge") == {"two"}
    assert names(wherryd, "-f", "dangling=true") == {"one", "two"}
    one, two = shown(wherryd, made[:12]), shown(wherryd, "two")
    assert (one["Id"], one["Name"], one["Labels"], one["Scope"]) == (made, "one", {"a": "b"}, "local")
    (config,) = one["IPAM"]["Config"]
    assert ipaddress.ip_address(config["Gateway"]) in ipaddress.ip_network(config["Subnet"])
    assert two["IPAM"]["Config"] == [
        {
            "Subnet": "10.203.0.0/16",
            "IPRange": "10.203.5.0/24",
            "Gateway": "10.203.0.9",
            "AuxiliaryAddresses": {"router": "10.203.5.1"},
        }
    ]
    assert (two["Internal"], two["Attachable"], two["Options"]) == (True, True, {"any": "thing"})
    assert (
        "Deleted Networks:\none\n" in wherryd.docker("network", "prune", "-f", "--filter", "label=a").stdout
    )
    assert wherryd.docker("network", "rm", "two").stdout == "two\n"
    assert "network two not found" in refused(wherryd, "network", "rm", "two")


def test_docker_py(wherryd: Wherryd) -> None:
    client = docker.DockerClient(base_url=f"unix://{wherryd.socket}")
    try:
        pool = docker.types.IPAMPool(subnet="10.204.0.0/24", gateway="10.204.0.254")
        made = client.networks.create(
            "py", driver="bridge", labels={"k": "v"}, ipam=docker.types.IPAMConfig(pool_configs=[pool])
        )
        assert client.networks.get("py").id == made.id
        assert [each.name for each in client.networks.list(filters={"label": "k=v"})] == ["py"]
        assert made.attrs["IPAM"]["Config"] == [{"Subnet": "10.204.0.0/24", "Gateway": "10.204.0.254"}]
        with pytest.raises(docker.errors.APIError, match="network with name py already exists"):
            client.networks.create("py")
        made.remove()
        client.networks.create("py")
        assert client.networks.prune()["NetworksDeleted"] == ["py"]
        with pytest.raises(docker.errors.NotFound):
            client.networks.get("py")
    finally:
        client.close()


def test_what_is_refused_leaves_nothing(wherryd: Wherryd) -> None:
    """No network, no bridge (the look for leftovers would find it), and a text that says what is wrong."""
    wherryd.docker("network", "create", "--subnet", "10.205.0.0/16", "there")
    for options, said in (
        (("there",), "network with name there already exists"),
        (("bridge",), "operation is not permitted on predefined bridge network"),
        (("--subnet", "10.205.7.0/24", "n"), "overlaps"),
        (("--subnet", "10.206.0.1/24", "n"), "invalid subnet 10.206.0.1/24: it should be 10.206.0.0/24"),
        (("--subnet", "10.206.0.0/24", "--gateway", "10.206.0.0", "n"), "gateway"),
        (
            ("--subnet", "10.206.0.0/24", "-o", "com.docker.network.bridge.name=far-too-long-a-name", "n"),
            "name",
        ),
        (("-o", "com.docker.network.bridge.enable_icc=maybe", "n"), "enable_icc"),
        (("-d", "overlay", "n"), "This node is not a swarm manager"),
        (("-d", "host", "n"), 'only one instance of "host" network is allowed'),
        (("--scope", "swarm", "n"), "cannot create a swarm scoped network when swarm is not active"),
        (("--ingress", "n"), "Ingress network can only be global scope network"),
        (("--config-from", "nope", "n"), 'configuration network "nope" does not exist'),
    ):
        assert said in refused(wherryd, "network", "create", *options), options
    assert names(wherryd, "-f", "type=custom") == {"there"}
    for name in ("bridge", "host", "none"):
        assert f"{name} is a pre-defined network and cannot be removed" in refused(
            wherryd, "network", "rm", name
        )
    wherryd.docker("network", "rm", "there")


def test_a_network_made_of_a_configuration(wherryd: Wherryd) -> None:
    wherryd.docker(
        "network", "create", "--config-only", "--subnet", "10.208.0.0/24", "--label", "a=b", "conf"
    )
    wherryd.docker("network", "create", "--config-from", "conf", "made")
    made = shown(wherryd, "made")
    assert made["IPAM"]["Config"] == [{"Subnet": "10.208.0.0/24", "Gateway": "10.208.0.1"}]
    assert (made["ConfigFrom"], made["Labels"]) == ({"Network": "conf"}, {"a": "b"})
    assert 'configuration network "conf" is in use' in refused(wherryd, "network", "rm", "conf")
    said = refused(wherryd, "run", "--rm", "--network", "conf", "busybox", "true")
    assert "config" in said
    assert wherryd.docker("ps", "-aq").stdout == ""
    wherryd.docker("network", "rm", "made", "conf")


def test_a_network_in_use(wherryd: Wherryd) -> None:
    """A running container holds it, a stopped one does not, and says so when it is to start again."""
    wherryd.docker("network", "create", "held")
    wherryd.docker("run", "-d", "--name", "holder", "--init", "--network", "held", "busybox", "sleep", "1000")
    network = shown(wherryd, "held")
    (attached,) = network["Containers"].values()
    assert attached["Name"] == "holder"
    assert ipaddress.ip_interface(attached["IPv4Address"]).network == ipaddress.ip_network(
        network["IPAM"]["Config"][0]["Subnet"]
    )
    assert names(wherryd, "-f", "dangling=false", "-f", "type=custom") == {"held"}
    said = refused(wherryd, "network", "rm", "held")
    assert f"error while removing network: network held id {network['Id']} has active endpoints" in said
    assert 'name:"holder"' in said
    assert wherryd.docker("network", "prune", "-f").stdout == ""
    wherryd.docker("stop", "-t", "0", "holder")
    wherryd.docker("network", "rm", "held")
    assert re.search("network [0-9a-f]{64} not found", refused(wherryd, "start", "holder"))
    wherryd.docker("rm", "holder")


def test_many_at_once(wherryd: Wherryd) -> None:
    """Of those who want one name one gets it; others get subnets that do not overlap."""
    bodies = [{"Name": "same"}] * 8 + [{"Name": f"own-{number}"} for number in range(8)]
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        answers = list(
            threads.map(lambda body: wherryd.call("POST", "/networks/create", body).status, bodies)
        )
    assert sorted(answers[:8]) == [201] + [409] * 7
    assert answers[8:] == [201] * 8
    every = wherryd.get("/networks").json
    subnets = [ipaddress.ip_network(each["Subnet"]) for one in every for each in one["IPAM"]["Config"] or ()]
    assert not any(a.overlaps(b) for a in subnets for b in subnets if a is not b)
    ids = [each["Id"] for each in every if each["Name"] not in ("bridge", "host", "none")] * 2
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        gone = list(threads.map(lambda each: wherryd.call("DELETE", f"/networks/{each}").status, ids))
    assert sorted(gone) == [204] * 9 + [404] * 9


def test_a_thousand_ports(wherryd: Wherryd) -> None:
    """All are listened on and led to the container; none is once it is gone."""
    ports = "21000-21999"
    serve = "nc -ll -p 21500 -e echo here"
    wherryd.docker("run", "-d", "--name", "wide", "-p", f"{ports}:{ports}", "busybox", "sh", "-c", serve)
    told = json.loads(wherryd.docker("inspect", "-f", "{{json .NetworkSettings.Ports}}", "wide").stdout)
    assert {binding["HostPort"] for bindings in told.values() for binding in bindings} == {
        str(port) for port in range(21000, 22000)
    }
    assert (listened(), led(wherryd)) == (1000, 1000)
    eventually(lambda: answer("127.0.0.1", 21500) == b"here\n")
    wherryd.docker("rm", "-f", "wide")
    assert (listened(), led(wherryd)) == (0, 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 21500), 5).close()


def listened() -> int:
    """Ports of the thousand on which somebody listens by IPv4."""
    expression = "sport >= 21000 and sport <= 21999"
    return len(subprocess.check_output(["ss", "-4Hltn", expression], text=True).splitlines())


def led(wherryd: Wherryd) -> int:
    """Ports of the thousand that nft leads to a container by IPv4."""
    argv = ["nft", "list", "map", "inet", f"wherry_{wherryd.instance}", "any4"]
    return len(re.findall(r"tcp \. 21\d\d\d :", subprocess.check_output(argv, text=True)))


def answer(host: str, port: int) -> bytes:
    """What is sent to a client that says nothing, b"" for a refusal."""
    try:
        with socket.create_connection((host, port), 5) as client:
            return client.recv(100)
    except OSError:
        return b""


def test_networks_after_a_restart(start_daemon: Callable[..., Wherryd]) -> None:
    """The same networks with the same bridges, whose containers never noticed, and which take others."""
    daemon = start_daemon()
    for name in ("first", "second"):
        daemon.docker("network", "create", "--label", f"n={name}", name)
    daemon.docker("run", "-d", "--init", "--name", "stays", "--network", "first", "busybox", "sleep", "1000")
    before = [shown(daemon, name) for name in ("first", "second")]
    builtin = [shown(daemon, name)["Id"] for name in ("bridge", "host", "none")]
    links = bridges(daemon)
    daemon.restart()
    assert [shown(daemon, name) for name in ("first", "second")] == before
    assert [shown(daemon, name)["Id"] for name in ("bridge", "host", "none")] == builtin
    assert bridges(daemon) == links
    assert len(links) == 3
    address = before[0]["Containers"].popitem()[1]["IPv4Address"].partition("/")[0]
    pinged = daemon.docker("run", "--rm", "--network", "first", "busybox", "ping", "-c1", "-W10", address)
    assert "1 packets received" in pinged.stdout
    assert "has active endpoints" in refused(daemon, "network", "rm", "first")


def bridges(daemon: Wherryd) -> dict[str, int]:
    """Every bridge of the daemon's with its index."""
    listed = subprocess.run(["ip", "-j", "link", "show", "type", "bridge"], capture_output=True, check=True)
    return {
        each["ifname"]: each["ifindex"]
        for each in json.loads(listed.stdout)
        if daemon.instance in each.get("ifalias", "")
    }
