"""How long it takes from asking for a start until a listener has read that the container started."""

import json
import time
from urllib.parse import quote

from tests.bench.client import Connection, expect
from tests.bench.contest import Contest

FILTERS = quote(json.dumps({"type": ["container"], "event": ["start"]}))


def measure(contest: Contest) -> None:
    """One start after another, one listener."""
    for turn in contest.turns():
        for contender in turn:
            client = contender.client
            container = client.create("sleep", "1000")
            with client.stream(f"events?filters={FILTERS}") as events, Connection(client.path) as asker:
                began = time.perf_counter()
                asker.send("POST", f"containers/{container}/start")
                event = json.loads(next(events.chunks()))
                turn.note("start-event", contender, (time.perf_counter() - began) * 1000)
                status, _ = asker.head()
            client.remove(container)
            expect(
                (status, event["Action"], event["Actor"]["ID"]) == (204, "start", container),
                f"{status} {event}",
            )
