"""What the API takes beside 1,000 stopped and 100 running containers. wherry's alone: the limit is absolute."""

import json
import time

from tests.bench.client import Client, expect
from tests.bench.contest import Contender, Contest
from tests.bench.measures import OURS
from tests.bench.population import populate

STOPPED, RUNNING = 1000, 100
SLEEPER = {"Image": "busybox", "Cmd": ["sleep", "100000"], "HostConfig": {"NetworkMode": "none"}}


def measure(contest: Contest) -> None:
    """Make them, ask, and take them away."""
    populate(contest)
    for contender in contest.contenders:
        if contender.name == OURS:
            contest.at_turn = OURS
            _measure(contest, contender)
    populate(contest)


def _measure(contest: Contest, contender: Contender) -> None:
    client = contender.client
    containers = [_create(client) for _ in range(STOPPED + RUNNING)]
    for container in containers[:RUNNING]:
        client.start(container)
    for turn in contest.turns():
        with turn.timed("crowd-ping", contender):
            client.raw("GET", "_ping")
        with turn.timed("crowd-list", contender):
            data = client.raw("GET", "containers/json?all=1")
        expect(len(json.loads(data)) == STOPPED + RUNNING, "the list is not whole")
        with turn.timed("crowd-inspect", contender):
            client.raw("GET", f"containers/{containers[turn.number]}/json")
        now = time.time()
        with turn.timed("crowd-events", contender):
            client.raw("GET", f"events?since={now - 60:.0f}&until={now:.0f}")
        with turn.timed("crowd-create", contender):
            container = _create(client)
        with turn.timed("crowd-remove", contender):
            client.raw("DELETE", f"containers/{container}")


def _create(client: Client) -> str:
    body = json.dumps(SLEEPER).encode()
    return str(json.loads(client.raw("POST", "containers/create", body))["Id"])
