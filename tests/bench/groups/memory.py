"""The memory of a daemon's processes, those inside containers not counted."""

import time

from tests.bench.contest import Contest
from tests.bench.processes import pss

SETTLE = 3.0


def measure(contest: Contest) -> None:
    """What each idle container adds."""
    for contender in contest.contenders:
        before = pss(contender.daemon.root)
        containers = [contender.client.sleeping() for _ in range(contest.idle)]
        time.sleep(SETTLE)
        contest.note("memory-container", contender, (pss(contender.daemon.root) - before) / contest.idle)
        for container in containers:
            contender.client.remove(container)
