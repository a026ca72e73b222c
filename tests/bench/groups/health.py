"""What the health checks of 100 containers cost: CPU of all the daemon's processes, and of the probes themselves.

Both engines' containers are there at once and are probed at the same rate, so that both meet the same load.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from urllib.parse import quote

from tests.bench.client import Client, expect
from tests.bench.contest import Contender, Contest
from tests.bench.groups.cpu import Genealogy
from tests.bench.processes import cpu_of, processes
from tests.bench.taskstats import Ended, NotThere, Taskstats

CONTAINERS, INTERVAL = 100, 5  # each is probed once in so many seconds
WINDOW = 20.0  # seconds
AT_ONCE = 8


def measure(contest: Contest) -> None:
    """One window for both. Where the kernel does not tell of tasks that end, nothing is noted."""
    try:
        Taskstats().close()
    except NotThere as error:
        print(f"what health checks cost remains unknown: {error}", file=sys.stderr)
        return
    with ExitStack() as stack:
        made = {}
        for contender in contest.contenders:
            made[contender.name] = _checked(contender)
            stack.callback(_remove, contender, made[contender.name])
        time.sleep(2 * INTERVAL)
        for turn in contest.turns(0.15, warm_up=False):
            families = {each.name: frozenset(processes(each.daemon.root)) for each in turn}
            before = {name: sum(map(cpu_of, family)) for name, family in families.items()}
            ended = _ended_within(WINDOW)
            for contender in turn:
                family = families[contender.name]
                used = sum(map(cpu_of, family)) - before[contender.name]
                used += sum(Genealogy(family, frozenset()).shares(ended).values())
                turn.note("health", contender, used)
                well = _healthy(contender) & made[contender.name]
                expect(len(well) == CONTAINERS, f"{contender.name}: {len(well)} of {CONTAINERS} are healthy")


def _ended_within(seconds: float) -> list[Ended]:
    """What ends in that time, taken before the kernel has no room for more."""
    ended = []
    end = time.monotonic() + seconds
    with closing(Taskstats()) as kernel:
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))
            ended += kernel.drain()
    return ended


def _checked(contender: Contender) -> set[str]:
    """Containers that are probed."""
    check = {"Test": ["CMD", "true"], "Interval": INTERVAL * 10**9}
    body = {
        "Image": "busybox",
        "Cmd": ["sleep", "100000"],
        "Healthcheck": check,
        "HostConfig": {"NetworkMode": "none"},
    }

    def one(number: int) -> str:
        with closing(Client(contender.client.path)) as client:
            made: str = client.call("POST", "containers/create", body)["Id"]
            client.call("POST", f"containers/{made}/start")
        return made

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return set(pool.map(one, range(CONTAINERS)))


def _healthy(contender: Contender) -> set[str]:
    listed = contender.client.call("GET", "containers/json?filters=" + quote('{"health":["healthy"]}'))
    return {each["Id"] for each in listed}


def _remove(contender: Contender, containers: set[str]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda each: _remove_one(contender, each), containers))


def _remove_one(contender: Contender, container: str) -> None:
    with closing(Client(contender.client.path)) as client:
        client.remove(container)
