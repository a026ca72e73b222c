"""The list of 220 containers, 20 of which run, and the inspection of one."""

import json

from tests.bench.client import expect
from tests.bench.contest import Contest
from tests.bench.population import RUNNING, STOPPED, ids, populate

REPEATS = 5  # inspections a turn: one takes less than a millisecond


def measure(contest: Contest) -> None:
    """Ask; what came is parsed after the time was taken."""
    populate(contest, running=RUNNING, stopped=STOPPED)
    containers = {contender.name: ids(contender.client)[0] for contender in contest.contenders}
    for turn in contest.turns():
        for contender in turn:
            with turn.timed("list", contender):
                data = contender.client.raw("GET", "containers/json?all=1")
            listed = json.loads(data)
            expect(len(listed) == RUNNING + STOPPED, f"{contender.name} lists {len(listed)}")
            container = containers[contender.name]
            for _ in range(REPEATS):
                with turn.timed("inspect", contender):
                    data = contender.client.raw("GET", f"containers/{container}/json")
                expect(json.loads(data)["Id"] == container, f"{data!r}")
