"""`make bench`: wherryd beside a real dockerd, in one run and in turns, so that both meet the same load.

Prints a table in Markdown: the median and the best of several samples, the ratio of the medians, and the target. A
missed target is told, and is no failure; a sample that is wrong ends the run with its reason. Needs root.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping

from tests.bench import equality, fsyncs
from tests.bench.client import WrongSample
from tests.bench.contest import Contest, contest
from tests.bench.groups import cpu, ends, events, execs, images, lists, logs, memory, restart, runs, stats
from tests.bench.measures import table
from tests.bench.population import populate

# In this order: each group finds the containers that those before it have left, and makes or removes what it needs.
GROUPS: Mapping[str, Callable[[Contest], None]] = {
    "idle": memory.measure_idle,
    "runs": runs.measure,
    "cli": runs.measure_cli,
    "many": runs.measure_many,
    "exec": execs.measure,
    "ends": ends.measure,
    "events": events.measure,
    "logs": logs.measure,
    "cpu": cpu.measure,
    "images": images.measure,
    "memory": memory.measure,
    "stats": stats.measure,
    "lists": lists.measure,
    "restart": restart.measure,
}


def names(text: str) -> list[str]:
    """Parse NAME,… Errors: ArgumentTypeError for one that is none."""
    wanted = text.split(",")
    if unknown := [name for name in wanted if name not in GROUPS]:
        raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    return wanted


def main() -> None:
    """Start both daemons, compare them, and take them away."""
    parser = argparse.ArgumentParser(prog="make bench", description="wherryd beside a real dockerd")
    parser.add_argument("--rounds", type=int, default=20, help="how often each is done (default 20)")
    parser.add_argument("--idle", type=int, default=20, help="how many idle containers (default 20)")
    parser.add_argument("--only", type=names, default=list(GROUPS), metavar="NAME,…", help=", ".join(GROUPS))
    options = parser.parse_args()
    with contest(options.rounds, options.idle) as both:
        print("\n".join(equality.check(both)), file=sys.stderr)
        print(fsyncs.table(fsyncs.count(both)))
        for name, measure in GROUPS.items():
            if name in options.only:
                began = time.monotonic()
                try:
                    measure(both)
                except WrongSample as error:
                    sys.exit(f"{name}: wrong sample of {both.at_turn}: {error}")
                print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
        populate(both)
        print(table(both.results))
        for wrong in both.theirs_wrong:
            print(f"dockerd was wrong and was asked again: {wrong}", file=sys.stderr)


if __name__ == "__main__":
    main()
