"""`make bench`: wherryd beside a real dockerd, in one run and in turns, so that both meet the same load.

Prints tables in Markdown: the median and the best of several samples, the ratio of the medians, and the target. A
missed target is told, and is no failure; containers that are not the same, and a sample of wherry's that is wrong,
end the run with exit status 1. Needs root.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping

from tests.bench import equality, fsyncs
from tests.bench.client import WrongSample
from tests.bench.contest import Contest, contest
from tests.bench.groups import (
    back,
    builds,
    copies,
    cpu,
    crowd,
    dns,
    ends,
    events,
    execs,
    health,
    images,
    lists,
    logs,
    memory,
    networks,
    pulls,
    pushes,
    restart,
    runs,
    stats,
)
from tests.bench.measures import table
from tests.bench.population import populate
from tests.bench.report import README, report, written_in

# In this order: each group finds the containers that those before it have left, and makes or removes what it needs.
GROUPS: Mapping[str, Callable[[Contest], None]] = {
    "idle": memory.measure_idle,
    "runs": runs.measure,
    "cli": runs.measure_cli,
    "many": runs.measure_many,
    "exec": execs.measure,
    "ends": ends.measure,
    "copies": copies.measure,
    "events": events.measure,
    "networks": networks.measure,
    "back": back.measure,
    "dns": dns.measure,
    "cpu": cpu.measure,
    "logs": logs.measure,
    "images": images.measure,
    "pulls": pulls.measure,
    "pushes": pushes.measure,
    "builds": builds.measure,
    "memory": memory.measure,
    "stats": stats.measure,
    "health": health.measure,
    "lists": lists.measure,
    "restart": restart.measure,
    "crowd": crowd.measure,
}


def names(text: str) -> list[str]:
    """Parse NAME,… Errors: ArgumentTypeError for one that is none."""
    wanted = text.split(",")
    if unknown := [name for name in wanted if name not in GROUPS]:
        raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    return wanted


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="make bench", description="wherryd beside a real dockerd")
    parser.add_argument("--rounds", type=int, default=20, help="how often each is done (default 20)")
    parser.add_argument("--idle", type=int, default=20, help="how many idle containers (default 20)")
    parser.add_argument("--only", type=names, metavar="NAME,…", help=", ".join(GROUPS))
    parser.add_argument("--write-readme", action="store_true", help="put what came out into the README")
    options = parser.parse_args()
    if options.write_readme and options.only:
        parser.error("the README shows all groups, not some")
    return options


def compare(both: Contest, wanted: list[str]) -> str:
    """Check, count, and measure: the report. Errors: WrongSample, Unequal."""
    print("\n".join(equality.check(both)), file=sys.stderr)
    syncs = fsyncs.count(both)
    for name in wanted:
        began = time.monotonic()
        GROUPS[name](both)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    for wrong in both.theirs_wrong:
        print(f"dockerd was wrong and was asked again: {wrong}", file=sys.stderr)
    return report(both, syncs)


def main() -> None:
    """Start both daemons, compare them, and take them away."""
    options = parsed()
    with contest(options.rounds, options.idle) as both:
        try:
            text = compare(both, [name for name in GROUPS if name in (options.only or GROUPS)])
            populate(both)
        except (WrongSample, equality.Unequal) as error:
            sys.exit(f"{table(both.results)}\n{both.at_turn or 'before the first turn'}: {error}")
    print(text)
    if options.write_readme:
        README.write_text(written_in(README.read_text(), text))


if __name__ == "__main__":
    main()
