"""From the start of a daemon that has 200 stopped containers until it answers a ping for the first time.

dockerd's time has that of the containerd that it starts.
"""

import threading
import time
from pathlib import Path

from tests.bench.client import Client, expect
from tests.bench.contest import Contender, Contest
from tests.bench.population import STOPPED, populate
from tests.daemon import Wherryd

PATIENCE = 60.0


def measure(contest: Contest) -> None:
    """End it by SIGTERM, start it, and count what it knows."""
    populate(contest, stopped=STOPPED)
    for turn in contest.turns(0.15):
        for contender in turn:
            contender.client.close()
            _end(contender)
            turn.note("restart", contender, boot(contender))
            known = len(contender.client.call("GET", "containers/json?all=1"))
            expect(known == STOPPED, f"{contender.name} knows {known} containers")


def _end(contender: Contender) -> None:
    if isinstance(contender.daemon, Wherryd):
        contender.daemon.terminate()
    else:
        contender.daemon.stop()


def boot(contender: Contender) -> float:
    """Start it: the seconds until it answers, looked at every millisecond."""
    starting = threading.Thread(target=contender.daemon.start)
    began = time.perf_counter()
    starting.start()
    while not _answers(contender.daemon.socket):
        expect(time.perf_counter() - began < PATIENCE, f"{contender.name} does not come up")
        time.sleep(0.001)
    took = time.perf_counter() - began
    starting.join()
    return took


def _answers(path: Path) -> bool:
    client = Client(path)
    try:
        return client.raw("GET", "_ping") == b"OK"
    except (OSError, IndexError):  # nobody there yet, or gone before it answered
        return False
    finally:
        client.close()
