"""What the health checks of 100 containers cost: CPU of all the daemon's processes, and of the probes themselves."""

import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar
from urllib.parse import quote

from tests.bench.client import Client, expect
from tests.bench.contest import Contender, Contest
from tests.bench.groups.cpu import Genealogy
from tests.bench.population import populate
from tests.bench.processes import cpu_of, processes
from tests.bench.taskstats import Ended, NotThere, Taskstats

CONTAINERS, INTERVAL = 100, 5  # each is probed once in so many seconds
WINDOW = 10.0  # seconds
AT_ONCE = 8
T = TypeVar("T")


def measure(contest: Contest) -> None:
    """One engine after the other, as both at once may be more than the machine can do: dockerd's alone take a CPU.

    Where the kernel tells of no ends, nothing is noted.
    """
    try:
        Taskstats().close()
    except NotThere as error:
        print(f"what health checks cost remains unknown: {error}", file=sys.stderr)
        return
    populate(contest)
    for contender in contest.contenders:
        contest.at_turn = contender.name
        made = _at_once(contender, range(CONTAINERS), _checked)
        try:
            time.sleep(2 * INTERVAL)
            contest.note("health", contender, _used(contender, WINDOW))
            well = _healthy(contender) & made
            expect(len(well) == CONTAINERS, f"{contender.name}: {len(well)} of {CONTAINERS} are healthy")
        finally:
            _at_once(contender, made, _removed)


def _used(contender: Contender, seconds: float) -> float:
    family = frozenset(processes(contender.daemon.root))
    before = sum(map(cpu_of, family))
    ended = _ended_within(seconds)
    own = sum(map(cpu_of, family)) - before
    return own + sum(Genealogy(family, frozenset()).shares(ended).values())


def _ended_within(seconds: float) -> list[Ended]:
    """What ends in that time, taken before the kernel has no room for more."""
    ended = []
    end = time.monotonic() + seconds
    with closing(Taskstats()) as kernel:
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))
            ended += kernel.drain()
    return ended


def _at_once(contender: Contender, items: Iterable[T], act: Callable[[Client, T], str]) -> set[str]:
    def one(item: T) -> str:
        with closing(Client(contender.client.path)) as client:
            return act(client, item)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return set(pool.map(one, items))


def _checked(client: Client, _: int) -> str:
    """A container that is probed."""
    check = {"Test": ["CMD", "true"], "Interval": INTERVAL * 10**9}
    body = {
        "Image": "busybox",
        "Cmd": ["sleep", "100000"],
        "Healthcheck": check,
        "HostConfig": {"NetworkMode": "none"},
    }
    made: str = client.call("POST", "containers/create", body)["Id"]
    client.call("POST", f"containers/{made}/start")
    return made


def _removed(client: Client, container: str) -> str:
    client.remove(container)
    return container


def _healthy(contender: Contender) -> set[str]:
    listed = contender.client.call("GET", "containers/json?filters=" + quote('{"health":["healthy"]}'))
    return {each["Id"] for each in listed}
