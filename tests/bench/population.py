"""Many containers of each contender, made once for all groups that need them."""

import contextlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tests.bench.client import Client, expect
from tests.bench.contest import Contender, Contest

AT_ONCE = 8
PATIENCE = 5.0
T = TypeVar("T")
RUNNING, STOPPED = 20, 200


def populate(contest: Contest, *, running: int = 0, stopped: int = 0) -> None:
    """See that each contender has just so many containers. Those that run sleep, those that are stopped have run."""
    for contender in contest.contenders:
        _adjust(contender, "running", running, _start)
        _adjust(contender, "exited", stopped, _finish)


def ids(client: Client, status: str = "running") -> list[str]:
    """The ids of a contender's containers of that status."""
    listed = client.call("GET", "containers/json?all=1")
    return [container["Id"] for container in listed if container["State"] == status]


def _adjust(contender: Contender, status: str, wanted: int, more: Callable[[Client], object]) -> None:
    there = ids(contender.client, status)
    _at_once(contender, there[wanted:], Client.remove)
    _at_once(contender, range(wanted - len(there)), lambda client, _: more(client))
    deadline = time.monotonic() + PATIENCE
    while (found := len(ids(contender.client, status))) != wanted and time.monotonic() < deadline:
        time.sleep(0.1)  # dockerd's list may lag behind its wait
    expect(found == wanted, f"{contender.name} has {found} {status} containers, not {wanted}")


def _start(client: Client) -> None:
    client.sleeping()


def _finish(client: Client) -> None:
    container = client.create("true")
    client.start(container)
    client.raw("POST", f"containers/{container}/wait")


def _at_once(contender: Contender, items: Iterable[T], act: Callable[[Client, T], object]) -> None:
    def one(item: T) -> None:
        with contextlib.closing(Client(contender.client.path)) as client:
            act(client, item)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, items))
