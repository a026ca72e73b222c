"""Many containers of each contender, made once for all groups that need them."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tests.bench.client import Client, expect
from tests.bench.contest import Contender, Contest

AT_ONCE = 8
PATIENCE = 60.0
T = TypeVar("T")
R = TypeVar("R")
RUNNING, STOPPED = 20, 200


def populate(contest: Contest, *, running: int = 0, stopped: int = 0) -> None:
    """See that each contender has just so many containers. Those that run sleep, those that are stopped have run.

    Under load dockerd sometimes keeps one that it was told to remove, or lists one that is over as running.
    """
    for contender in contest.contenders:
        deadline = time.monotonic() + PATIENCE
        while found := _adjust(contender, running, stopped):
            expect(time.monotonic() < deadline, f"{contender.name} lists {found}")


def ids(client: Client, status: str = "running") -> list[str]:
    """The ids of a contender's containers of that status."""
    return [container for container, its in _listed(client).items() if its == status]


def _listed(client: Client) -> dict[str, str]:
    listed = client.call("GET", "containers/json?all=1")
    return {container["Id"]: container["State"] for container in listed}


def _adjust(contender: Contender, running: int, stopped: int) -> str:
    """Make what is missing and remove what is too much: what there is then if that is still wrong, else ""."""
    by_status: dict[str, list[str]] = {"running": [], "exited": []}
    for container, status in _listed(contender.client).items():
        by_status.setdefault(status, []).append(container)
    superfluous = by_status.pop("running")[running:] + by_status.pop("exited")[stopped:]
    _at_once(
        contender, superfluous + [each for others in by_status.values() for each in others], Client.remove
    )
    _at_once(contender, range(running - len(ids(contender.client))), lambda client, _: _start(client))
    made = _at_once(
        contender, range(stopped - len(ids(contender.client, "exited"))), lambda client, _: _finish(client)
    )
    listed = _listed(contender.client)
    _at_once(contender, [each for each in made if listed.get(each, "exited") != "exited"], Client.remove)
    counts = Counter(_listed(contender.client).values())
    return "" if counts == Counter({"running": running, "exited": stopped}) else f"{dict(counts)}"


def _start(client: Client) -> None:
    client.sleeping()


def _finish(client: Client) -> str:
    container = client.create("true")
    client.start(container)
    client.raw("POST", f"containers/{container}/wait")
    return container


def _at_once(contender: Contender, items: Iterable[T], act: Callable[[Client, T], R]) -> list[R]:
    def one(item: T) -> R:
        with contextlib.closing(Client(contender.client.path)) as client:
            return act(client, item)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, items))
