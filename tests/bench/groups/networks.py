"""What networks and published ports add to a start and to a removal, how long networks take, and what a boot makes of
many of both.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.client import Client, expect
from tests.bench.contest import Contender, Contest, Turn, busybox
from tests.bench.groups import restart
from tests.bench.measures import OURS
from tests.daemon import Wherryd
from tests.roots import make_root

NETWORK = "bench-networks"
STARTS = 5
SETTLE = 0.1  # the kernel takes the last one's network away meanwhile
OWN_STARTS = 40
OWN = Path(__file__).parent.parent / "network_part.py"
PORTS = 10
BOOT_NETWORKS, BOOT_CONTAINERS, BOOT_PORTS = 50, 10, 100
BOOTS = 5


def measure(contest: Contest) -> None:
    """Networks, ports, and then a boot of a wherry of its own."""
    _measure_networks(contest)
    _measure_starts(contest)
    _measure_own(contest)
    _measure_boot(contest)


def published(ports: int) -> dict[str, Any]:
    """What to create a container with, for that many ports of the host that are free."""
    bindings = {f"{port}/tcp": [{"HostIp": "", "HostPort": ""}] for port in range(1000, 1000 + ports)}
    return {"ExposedPorts": {port: {} for port in bindings}, "host": {"PortBindings": bindings}}


def _measure_networks(contest: Contest) -> None:
    for turn in contest.turns():
        for contender in turn:
            client = contender.client
            with turn.timed("network-create", contender):
                client.call("POST", "networks/create", {"Name": NETWORK})
            with turn.timed("network-remove", contender):
                client.raw("DELETE", f"networks/{NETWORK}")


def _measure_starts(contest: Contest) -> None:
    for contender in contest.contenders:
        contender.client.call("POST", "networks/create", {"Name": NETWORK})
    for turn in contest.turns(0.3):
        for contender in turn:
            _starts(turn, contender)
    for contender in contest.contenders:
        contender.client.raw("DELETE", f"networks/{NETWORK}")


def _starts(turn: Turn, contender: Contender) -> None:
    """Each kind of start in its turn, a few times: differences of the best, for one of others has the noise of both."""
    kinds: list[dict[str, Any]] = [
        {"network": "none"},
        {"network": NETWORK},
        {"network": NETWORK, **published(1)},
        {"network": NETWORK, **published(PORTS)},
    ]
    lives = [[_life(contender.client, **how) for how in kinds] for _ in range(STARTS)]
    none, bare, one, ten = (min(start for start, _ in of_kind) for of_kind in zip(*lives, strict=True))
    _, gone, _, ten_gone = (min(removal for _, removal in of_kind) for of_kind in zip(*lives, strict=True))
    turn.note("network-start", contender, bare - none)
    turn.note("port-start", contender, (ten - one) / (PORTS - 1))
    turn.note("ports-start", contender, ten - bare)
    turn.note("ports-remove", contender, ten_gone - gone)


def _life(client: Client, **how: Any) -> tuple[float, float]:
    """The ms that a start and a removal of the running container take."""
    container = client.create("sleep", "1000", **how)
    time.sleep(SETTLE)
    return _took(partial(client.start, container)), _took(partial(client.remove, container))


def _took(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def _measure_own(contest: Contest) -> None:
    """The network of a start by the clock of the one who makes it: a difference of whole starts is mostly noise."""
    ours = next(each for each in contest.contenders if each.name == OURS)
    contest.at_turn = OURS
    argv = ["unshare", "-n", sys.executable, "-I", str(OWN), str(OWN_STARTS)]
    done = subprocess.run(argv, capture_output=True, text=True)
    expect(done.returncode == 0, f"network parts: {done.stderr.strip()[-200:]}")
    for took in done.stdout.split():
        contest.note("network-own", ours, float(took))


def _measure_boot(contest: Contest) -> None:
    """What the start of the daemon takes longer for networks and ports of the same number of running containers."""
    ours = next(each for each in contest.contenders if each.name == OURS)
    contest.at_turn = OURS
    with _daemon() as plain, _daemon() as full:
        for number in range(BOOT_NETWORKS):
            ipam = {"Config": [{"Subnet": f"10.199.{number}.0/24"}]}
            full.client.call("POST", "networks/create", {"Name": f"{NETWORK}-{number}", "IPAM": ipam})
        for number in range(BOOT_CONTAINERS):
            plain.client.sleeping(network="none")
            full.client.sleeping(network=f"{NETWORK}-{number}", **published(BOOT_PORTS))
        for _ in range(BOOTS):
            without, with_all = _boot(plain), _boot(full)
            contest.note("network-boot", ours, (with_all - without) * 1000)
        _check(full.client)


@contextmanager
def _daemon() -> Iterator[Contender]:
    """Another wherry."""
    daemon = Wherryd(make_root("wherry-"))
    client = Client(daemon.socket)
    try:
        daemon.start()
        daemon.docker("import", "-", "busybox:latest", stdin=busybox())
        yield Contender(OURS, daemon, client)
    finally:
        client.close()
        daemon.destroy()


def _boot(contender: Contender) -> float:
    contender.client.close()
    assert isinstance(contender.daemon, Wherryd)
    contender.daemon.terminate()
    return restart.boot(contender)


def _check(client: Client) -> None:
    networks = client.call("GET", "networks?filters=%7B%22type%22%3A%5B%22custom%22%5D%7D")
    expect(len(networks) == BOOT_NETWORKS, f"{len(networks)} networks")
    ports = [
        port
        for each in client.call("GET", "containers/json")
        for port in each["Ports"]
        if "PublicPort" in port
    ]
    found = {port["PublicPort"] for port in ports}
    expect(len(found) == BOOT_CONTAINERS * BOOT_PORTS, f"{len(found)} ports")
