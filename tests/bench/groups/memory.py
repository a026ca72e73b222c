"""The memory of a daemon's processes, those inside containers not counted."""

import time

from tests.bench.contest import Contest
from tests.bench.population import populate
from tests.bench.processes import pss

SETTLE = 3.0


def measure_idle(contest: Contest) -> None:
    """A daemon that was just started."""
    time.sleep(SETTLE)
    for contender in contest.contenders:
        contest.note("memory-idle", contender, pss(contender.daemon.root) / 1024)


def measure(contest: Contest) -> None:
    """What a daemon has that has worked and has no container any more, and what each idle container adds."""
    populate(contest)
    time.sleep(SETTLE)
    before = {contender.name: pss(contender.daemon.root) for contender in contest.contenders}
    for contender in contest.contenders:
        contest.note("memory-used", contender, before[contender.name] / 1024)
    populate(contest, running=contest.idle)
    time.sleep(SETTLE)
    for contender in contest.contenders:
        added = pss(contender.daemon.root) - before[contender.name]
        contest.note("memory-container", contender, added / contest.idle / 1024)
