"""Containers in networks through the CLI and docker-py: who reaches whom, by which names and interfaces."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.daemon import Wherryd
from tests.waiting import eventually

pytestmark = pytest.mark.root

LONG = ("busybox", "sleep", "1000")
PORT = 18122  # of the host: no test of the other lane has it
SERVE = ("busybox", "sh", "-c", "mkdir w; hostname > w/index.html; exec httpd -f -h w -p 80")


@pytest.fixture(scope="module", autouse=True)
def networks(wherryd: Wherryd) -> Iterator[None]:
    """Three networks."""
    wherryd.docker("network", "create", "--subnet", "10.81.0.0/24", "na")
    wherryd.docker("network", "create", "--subnet", "10.82.0.0/24", "nb")
    wherryd.docker(
        "network", "create", "--ipv6", "--subnet", "10.83.0.0/24", "--subnet", "fd00:83::/64", "n6"
    )
    yield
    wherryd.docker("network", "rm", "na", "nb", "n6")


@pytest.fixture(autouse=True)
def clean(wherryd: Wherryd, networks: None) -> Iterator[None]:
    """No container after a test."""
    yield
    if ids := wherryd.docker("ps", "-aq").stdout.split():
        wherryd.docker("rm", "-f", *ids)


@pytest.fixture
def run(wherryd: Wherryd) -> Callable[..., str]:
    """Run a container in the background: options, then the image and command; its ID."""
    return lambda name, *args: wherryd.docker("run", "-d", "--name", name, *args).stdout.strip()


@pytest.fixture
def inside(wherryd: Wherryd) -> Callable[..., str]:
    """What a command says in a container."""
    return lambda name, *command: wherryd.docker("exec", name, *command).stdout


@pytest.fixture
def reaches(wherryd: Wherryd) -> Callable[..., bool]:
    """Whether a container is answered by what a name leads to."""
    return lambda name, target: (
        wherryd.docker("exec", name, "ping", "-c1", "-W10", target, check=False).returncode == 0
    )


def settings(wherryd: Wherryd, name: str, version: str = "1.55") -> Any:
    return wherryd.get(f"/v{version}/containers/{name}/json").json["NetworkSettings"]


def links_of(inside: Callable[..., str], name: str) -> dict[str, str]:
    """Interfaces and their IPv4 addresses."""
    lines = inside(name, "ip", "-o", "-4", "addr").splitlines()
    return {line.split()[1]: line.split()[3] for line in lines}


def test_several_networks(
    wherryd: Wherryd, run: Callable[..., str], inside: Callable[..., str], reaches: Callable[..., bool]
) -> None:
    """The mode's network is eth0, the others follow by name; each is reached by name in its own network alone."""
    options = (
        "--network",
        "nb",
        "--network",
        "name=na,alias=many,ip=10.81.0.9,mac-address=02:00:00:00:00:09",
    )
    run("cc", *options, *LONG)
    run("in-a", "--network", "na", *LONG)
    run("in-b", "--network", "nb", *LONG)
    assert links_of(inside, "cc") == {"lo": "127.0.0.1/8", "eth0": "10.82.0.2/24", "eth1": "10.81.0.9/24"}
    assert "02:00:00:00:00:09" in inside("cc", "ip", "link", "show", "eth1")
    assert inside("cc", "ip", "route").startswith("default via 10.81.0.1 dev eth1")
    assert reaches("in-a", "cc")
    assert reaches("in-a", "many")
    assert reaches("in-b", "cc")
    assert not reaches("in-b", "many")
    assert not reaches("in-b", "in-a")
    assert reaches("cc", "in-a")
    assert reaches("cc", "in-b")
    own = inside("cc", "cat", "/etc/hosts")
    assert "10.82.0.2\t" in own
    assert "10.81.0.9\t" in own
    shown = settings(wherryd, "cc")["Networks"]
    assert shown["na"]["IPAMConfig"] == {"IPv4Address": "10.81.0.9"}
    assert shown["na"]["DNSNames"] == ["cc", "many", wherryd.docker("ps", "-qf", "name=cc").stdout.strip()]
    assert "IPAddress" not in settings(wherryd, "cc")
    assert settings(wherryd, "cc", "1.51")["IPAddress"] == ""


def test_gateway_priority(wherryd: Wherryd, inside: Callable[..., str]) -> None:
    """By docker's priority the default route is another's, and so are the published ports."""
    body = {
        "Image": "busybox",
        "Cmd": ["sleep", "1000"],
        "HostConfig": {"NetworkMode": "na"},
        "NetworkingConfig": {"EndpointsConfig": {"na": {}, "nb": {"GwPriority": 7}}},
    }
    assert wherryd.call("POST", "/v1.48/containers/create?name=cc", body).status == 201
    wherryd.docker("start", "cc")
    assert inside("cc", "ip", "route").startswith("default via 10.82.0.1 dev eth1")
    assert settings(wherryd, "cc")["Networks"]["nb"]["GwPriority"] == 7
    assert "GwPriority" not in settings(wherryd, "cc", "1.47")["Networks"]["nb"]


def test_ipv6_and_link_local(run: Callable[..., str], inside: Callable[..., str]) -> None:
    addresses = ("--ip", "10.83.0.9", "--ip6", "fd00:83::9", "--link-local-ip", "169.254.7.7")
    run("cc", "--network", "n6", *addresses, *LONG)
    shown = inside("cc", "ip", "-o", "addr", "show", "eth0")
    assert "10.83.0.9/24" in shown
    assert "fd00:83::9/64" in shown
    assert "169.254.7.7" in shown
    assert "default via fd00:83::1 dev eth0" in inside("cc", "ip", "-6", "route")
    assert "fd00:83::9\t" in inside("cc", "cat", "/etc/hosts")


def test_sysctls_of_each_interface(run: Callable[..., str], inside: Callable[..., str]) -> None:
    option = "driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1"
    run("cc", "--network", "na", "--network", f'"name=nb","{option}"', *LONG)
    values = inside(
        "cc", "cat", *(f"/proc/sys/net/ipv4/conf/{name}/log_martians" for name in ("eth0", "eth1"))
    )
    assert values.split() == ["0", "1"]


def test_connect_and_disconnect_while_it_runs(
    wherryd: Wherryd, run: Callable[..., str], inside: Callable[..., str], reaches: Callable[..., bool]
) -> None:
    """Addresses, names, the hosts file (in place), the default route and published ports follow."""
    run("web", "-p", f"{PORT}:80", *SERVE)
    run("other", "--network", "na", *LONG)
    node = inside("web", "stat", "-c", "%i", "/etc/hosts")
    inside("web", "sh", "-c", "echo '9.9.9.9 mine' >> /etc/hosts")
    wherryd.docker("network", "connect", "--alias", "late", "--ip", "10.81.0.50", "na", "web")
    assert reaches("other", "late")
    assert reaches("web", "other")
    assert inside("web", "cat", "/etc/hosts").splitlines()[-2:] == [
        "9.9.9.9 mine",
        f"10.81.0.50\t{inside('web', 'hostname').strip()}",
    ]
    assert "nameserver 127.0.0.11" in inside("web", "cat", "/etc/resolv.conf")
    assert inside("web", "stat", "-c", "%i", "/etc/hosts") == node
    eventually(lambda: served(wherryd) == 0)
    wherryd.docker("network", "disconnect", "bridge", "web")
    assert inside("web", "ip", "route").startswith("default via 10.81.0.1 dev eth1")
    assert served(wherryd) == 0
    assert "172.17" not in inside("web", "cat", "/etc/hosts")
    wherryd.docker("network", "disconnect", "na", "web")
    assert list(links_of(inside, "web")) == ["lo"]
    assert not reaches("other", "late")
    assert settings(wherryd, "web")["Networks"] == {}
    assert served(wherryd) != 0
    wherryd.docker("network", "connect", "nb", "web")
    assert served(wherryd) == 0
    assert list(links_of(inside, "web")) == ["lo", "eth0"]


def served(wherryd: Wherryd) -> int:
    """0 if the published port is answered."""
    return os.system(f"curl -sfm 2 http://127.0.0.1:{PORT}/ >/dev/null")


def test_a_resolv_conf_of_its_own_is_let_be(
    wherryd: Wherryd, run: Callable[..., str], inside: Callable[..., str]
) -> None:
    run("cc", *LONG)
    inside("cc", "sh", "-c", "echo '# mine' >> /etc/resolv.conf")
    before = inside("cc", "cat", "/etc/resolv.conf")
    wherryd.docker("network", "connect", "na", "cc")
    assert inside("cc", "cat", "/etc/resolv.conf") == before


def test_connected_while_stopped_and_paused(
    wherryd: Wherryd, run: Callable[..., str], inside: Callable[..., str], reaches: Callable[..., bool]
) -> None:
    wherryd.docker("create", "--name", "cc", "--network", "na", *LONG)
    wherryd.docker("network", "connect", "--alias", "early", "nb", "cc")
    wherryd.docker("start", "cc")
    run("in-b", "--network", "nb", *LONG)
    assert reaches("in-b", "early")
    wherryd.docker("pause", "cc")
    wherryd.docker("network", "disconnect", "nb", "cc")
    wherryd.docker("network", "connect", "n6", "cc")
    wherryd.docker("unpause", "cc")
    assert set(links_of(inside, "cc").values()) == {"127.0.0.1/8", "10.81.0.2/24", "10.83.0.2/24"}
    wherryd.docker("restart", "-t", "0", "cc")
    assert set(links_of(inside, "cc").values()) == {"127.0.0.1/8", "10.81.0.2/24", "10.83.0.2/24"}


def test_a_connect_that_fails_leaves_nothing(
    wherryd: Wherryd, run: Callable[..., str], inside: Callable[..., str]
) -> None:
    run("cc", "--network", "na", *LONG)
    run("holder", "--network", "nb", "--ip", "10.82.0.77", *LONG)
    before = settings(wherryd, "cc")
    refused = wherryd.docker("network", "connect", "--ip", "10.82.0.77", "nb", "cc", check=False)
    assert "Address already in use" in refused.stderr
    assert settings(wherryd, "cc") == before
    assert list(links_of(inside, "cc")) == ["lo", "eth0"]
    assert "10.82" not in inside("cc", "cat", "/etc/hosts")


def test_renamed(wherryd: Wherryd, run: Callable[..., str], reaches: Callable[..., bool]) -> None:
    run("old", "--network", "na", *LONG)
    run("other", "--network", "na", *LONG)
    wherryd.docker("rename", "old", "new")
    assert reaches("other", "new")
    assert not reaches("other", "old")
    assert settings(wherryd, "new")["Networks"]["na"]["DNSNames"][0] == "new"


def test_a_link_on_the_default_bridge(
    wherryd: Wherryd, run: Callable[..., str], inside: Callable[..., str], reaches: Callable[..., bool]
) -> None:
    """Names in the hosts file, which follow the other's address, and variables."""
    run("target", "--hostname", "th", "--expose", "80", "-e", "A=1", *LONG)
    run("linked", "--link", "target:al-x", *LONG)
    assert "\tal-x th target\n" in inside("linked", "cat", "/etc/hosts")
    assert reaches("linked", "al-x")
    assert reaches("linked", "target")
    variables = inside("linked", "env")
    assert "AL_X_PORT=tcp://1" in variables
    assert "AL_X_NAME=/linked/al-x" in variables
    assert "AL_X_ENV_A=1" in variables
    wherryd.docker("stop", "-t", "0", "target")
    run("takes-its-address", *LONG)
    wherryd.docker("start", "target")
    found = settings(wherryd, "target", "1.51")["IPAddress"]
    assert f"{found}\tal-x th target\n" in inside("linked", "cat", "/etc/hosts")
    assert wherryd.get("/containers/linked/json").json["HostConfig"]["Links"] == ["/target:/linked/al-x"]


def test_a_link_is_taken_away(wherryd: Wherryd, run: Callable[..., str], inside: Callable[..., str]) -> None:
    """Its name goes, and of a container that runs the line in the hosts file and the variables; the other stays."""
    run("target", "--expose", "80", *LONG)
    run("linked", "--link", "target:gone", "--link", "target:kept", *LONG)
    assert "linked/gone,linked/kept,target" in wherryd.docker("ps", "--no-trunc").stdout
    assert wherryd.docker("rm", "--link", "/linked/gone").stdout == "/linked/gone\n"
    assert "linked/kept,target" in wherryd.docker("ps", "--no-trunc").stdout
    for _ in range(2):
        assert "\tgone " not in inside("linked", "cat", "/etc/hosts")
        assert "\tkept " in inside("linked", "cat", "/etc/hosts")
        assert "GONE_" not in inside("linked", "env")
        assert "KEPT_PORT=tcp://1" in inside("linked", "env")
        wherryd.docker("restart", "-t", "0", "linked")
    assert wherryd.docker("inspect", "-f", "{{.Name}}", "linked/kept").stdout == "/target\n"
    assert wherryd.docker("inspect", "linked/gone", check=False).returncode == 1
    assert "default link name" in wherryd.docker("rm", "--link", "linked", check=False).stderr


def test_a_link_where_containers_do_not_see_each_other(start_daemon: Callable[..., Wherryd]) -> None:
    """With --icc=false the exposed ports of the other are open to who is linked to it, also after both restarted."""
    daemon = start_daemon("--icc=false", "--ipv6", "--fixed-cidr-v6", "fd00:88::/64")
    daemon.docker("run", "-d", "--name", "target", "--expose", "80", *SERVE)
    daemon.docker("run", "-d", "--name", "linked", "--link", "target:t", *LONG)
    daemon.docker("run", "-d", "--name", "other", *LONG)

    def addresses() -> list[str]:
        shown = settings(daemon, "target", "1.51")
        return [shown["IPAddress"], shown["GlobalIPv6Address"]]

    def answered(name: str) -> set[bool]:
        """Whether it is, by both families."""
        pages = [f"http://{address}/" for address in (addresses()[0], f"[{addresses()[1]}]")]
        asked = [("exec", name, "wget", "-qO-", "-T", "2", page) for page in pages]
        return {daemon.docker(*words, check=False).returncode == 0 for words in asked}

    def reached() -> bool:
        """Once it listens: its start tells nothing of that."""
        return answered("linked") == {True}

    def told() -> list[str]:
        lines = daemon.docker("exec", "linked", "cat", "/etc/hosts").stdout.splitlines()
        return [line.split()[0] for line in lines if "\tt " in line]

    eventually(reached)
    assert answered("other") == {False}
    daemon.docker("stop", "-t", "0", "target")
    daemon.docker("run", "-d", "--name", "takes-its-address", *LONG)
    daemon.docker("start", "target")
    eventually(reached)
    assert told() == addresses()
    daemon.restart()
    eventually(reached)
    assert answered("other") == {False}
    daemon.docker("rm", "--link", "linked/t")
    assert answered("linked") == {False}
    assert not told()
    daemon.docker("rm", "-f", "linked", "target", "other", "takes-its-address")


def test_the_host_by_both_families(start_daemon: Callable[..., Wherryd]) -> None:
    """host-gateway is IPv6, too, where the default bridge has it and the container can use it."""
    daemon = start_daemon("--ipv6", "--fixed-cidr-v6", "fd00:87::/64")
    show = ("--rm", "--add-host", "up:host-gateway", "busybox", "grep", "up$", "/etc/hosts")
    gateway, gateway6 = daemon.docker(
        "network", "inspect", "-f", "{{range .IPAM.Config}}{{.Gateway}} {{end}}", "bridge"
    ).stdout.split()
    assert daemon.docker("run", *show).stdout == f"{gateway}\tup\n{gateway6}\tup\n"
    without = ("--sysctl", "net.ipv6.conf.all.disable_ipv6=1")
    assert daemon.docker("run", *without, *show).stdout == f"{gateway}\tup\n"


def test_a_link_in_a_network(run: Callable[..., str], reaches: Callable[..., bool]) -> None:
    """A name for this container alone."""
    run("target", "--network", "na", *LONG)
    run("linked", "--network", "na", "--link", "target:mine", *LONG)
    run("other", "--network", "na", *LONG)
    assert reaches("linked", "mine")
    assert not reaches("other", "mine")


def test_a_network_that_went(wherryd: Wherryd, run: Callable[..., str]) -> None:
    """It is no network of a stopped container any more; another of its name stands for it, or one that it joins."""
    wherryd.docker("network", "create", "goes")
    run("cc", "--network", "goes", *LONG)
    assert "has active endpoints" in wherryd.docker("network", "rm", "goes", check=False).stderr
    wherryd.docker("stop", "-t", "0", "cc")
    wherryd.docker("network", "rm", "goes")
    refused = wherryd.docker("start", "cc", check=False).stderr
    assert "network" in refused
    assert "not found" in refused
    wherryd.docker("network", "create", "goes")
    wherryd.docker("start", "cc")
    wherryd.docker("stop", "-t", "0", "cc")
    wherryd.docker("network", "rm", "goes")
    wherryd.docker("network", "disconnect", "goes", "cc")
    wherryd.docker("network", "connect", "na", "cc")
    wherryd.docker("start", "cc")
    assert list(settings(wherryd, "cc")["Networks"]) == ["na"]


def test_the_daemon_restarts(
    wherryd: Wherryd, run: Callable[..., str], inside: Callable[..., str], reaches: Callable[..., bool]
) -> None:
    """All endpoints are taken over; what is connected and disconnected then works as before."""
    run("cc", "--network", "na", "--network", "nb", "-p", f"{PORT}:80", *SERVE)
    run("bare", "--network", "na", *LONG)
    wherryd.docker("network", "disconnect", "na", "bare")
    before = settings(wherryd, "cc")
    wherryd.restart()
    assert settings(wherryd, "cc") == before
    key = settings(wherryd, "bare")["SandboxKey"]
    assert Path(key).exists()
    wherryd.docker("network", "connect", "nb", "bare")
    assert reaches("bare", "cc")
    wherryd.docker("network", "disconnect", "na", "cc")
    eventually(lambda: served(wherryd) == 0)
    assert "has active endpoints" in wherryd.docker("network", "rm", "nb", check=False).stderr
    wherryd.docker("network", "disconnect", "nb", "cc")
    assert list(links_of(inside, "cc")) == ["lo"]


def test_ends_found_at_boot_are_told(wherryd: Wherryd, run: Callable[..., str]) -> None:
    """A container that ended while no daemon ran left its networks."""
    identity = run("cc", "--network", "na", "--network", "nb", *LONG)
    pid = wherryd.get("/containers/cc/json").json["State"]["Pid"]
    since = int(time.time())
    wherryd.kill9()
    os.kill(pid, 9)
    wherryd.start()
    eventually(lambda: not wherryd.state("cc")["Running"])
    stream = wherryd.get(f"/events?since={since}&until={int(time.time()) + 1}").body.splitlines()
    told = [json.loads(line) for line in stream]
    left = [
        each["Actor"]["Attributes"]["name"]
        for each in told
        if (each["Type"], each["Action"]) == ("network", "disconnect")
        and each["Actor"]["Attributes"]["container"] == identity
    ]
    assert sorted(left) == ["na", "nb"]


def test_docker_py(wherryd: Wherryd) -> None:
    client = docker.DockerClient(base_url=f"unix://{wherryd.socket}")
    try:
        network = client.networks.create("py", driver="bridge")
        container = client.containers.run("busybox", ["sleep", "1000"], name="cc", detach=True, network="na")
        network.connect(container, aliases=["al"], links={"other": "o"}, driver_opt={"a": "b"})
        container.reload()
        shown = container.attrs["NetworkSettings"]["Networks"]
        assert set(shown) == {"na", "py"}
        assert (shown["py"]["Links"], shown["py"]["DriverOpts"]) == (["other:o"], {"a": "b"})
        network.reload()
        assert [each.name for each in network.containers] == ["cc"]
        network.disconnect(container)
        with pytest.raises(docker.errors.NotFound, match="is not connected to network py"):
            network.disconnect(container)
        network.remove()
    finally:
        client.close()
