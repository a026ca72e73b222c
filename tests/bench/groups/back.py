"""A daemon is killed: how long after the next one was started what it carries itself works again."""

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from network import netns
from tests.bench.client import expect
from tests.bench.contest import Contender, Contest
from tests.bench.dns_flood import SERVER, is_right, question
from tests.bench.measures import OURS
from tests.daemon import Wherryd

NETWORK, NAME, PORT = "bench-back", "bench-back-asked", 80
SERVER_SCRIPT = f"while true; do echo hi | nc -l -p {PORT}; done"
CONTAINERS = 3
TIMES = 5
PATIENCE = 60.0
A_LOOK = 0.02


def measure(contest: Contest) -> None:
    """Containers of a user's network, which ask for each other, and one of which has a published port."""
    ours = next(each for each in contest.contenders if each.name == OURS)
    contest.at_turn = OURS
    client = ours.client
    client.call("POST", "networks/create", {"Name": NETWORK})
    served: dict[str, Any] = {
        "ExposedPorts": {f"{PORT}/tcp": {}},
        "host": {"PortBindings": {f"{PORT}/tcp": [{}]}},
    }
    containers = [client.create("sh", "-c", SERVER_SCRIPT, network=NETWORK, **served)]
    containers += [client.create("sleep", "1000", network=NETWORK) for _ in range(CONTAINERS - 1)]
    client.raw("POST", f"containers/{containers[0]}/rename?name={NAME}")
    for each in containers:
        client.start(each)
    port = int(client.inspect(containers[0])["NetworkSettings"]["Ports"][f"{PORT}/tcp"][0]["HostPort"])
    with ExitStack() as stack:
        asker = stack.enter_context(_asker(client.inspect(containers[-1])["State"]["Pid"]))
        for _ in range(TIMES):
            _turn(contest, ours, {"back-dns": lambda: _asks(asker), "back-proxy": lambda: _reaches(port)})
    for each in containers:
        client.remove(each)
    client.raw("DELETE", f"networks/{NETWORK}")


def _turn(contest: Contest, ours: Contender, looks: dict[str, Callable[[], bool]]) -> None:
    """Kill it, start it, and note when each of them was there for the first time."""
    daemon = ours.daemon
    assert isinstance(daemon, Wherryd)
    ours.client.close()
    daemon.kill9()
    for name, look in looks.items():
        expect(not look(), f"{name}: something answers without a daemon")
    starting = threading.Thread(target=daemon.start)
    began = time.perf_counter()
    starting.start()
    left = dict(looks)
    while left:
        expect(time.perf_counter() - began < PATIENCE, f"not back: {', '.join(left)}")
        for name in [name for name, look in left.items() if look()]:
            contest.note(name, ours, time.perf_counter() - began)
            del left[name]
        time.sleep(0.001)
    starting.join()


def _asker(pid: int) -> socket.socket:
    """A socket in the container's namespace."""
    namespace = netns.open_of(pid)
    try:
        client = netns.inside(namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    finally:
        os.close(namespace)
    client.settimeout(A_LOOK)
    client.connect(SERVER)
    return client


def _asks(client: socket.socket) -> bool:
    try:
        client.send(question(NAME))
        return is_right(client.recv(4096))
    except OSError:
        return False


def _reaches(port: int) -> bool:
    try:
        with socket.create_connection(("::1", port), 5) as client:
            return client.recv(100) == b"hi\n"
    except OSError:
        return False
