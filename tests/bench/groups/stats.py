"""What 20 streams of stats cost: CPU of all the daemon's processes, shims too."""

import json
import selectors
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.bench.client import Connection, expect
from tests.bench.contest import Contest
from tests.bench.population import RUNNING, ids, populate
from tests.bench.processes import cpu

WARM_UP, WINDOW, FIGURE = 2.0, 5.0, 10.0  # seconds; the figure is for 10 s


def measure(contest: Contest) -> None:
    """Both at once, as it is CPU that is measured and not time."""
    populate(contest, running=RUNNING)
    with ExitStack() as stack:
        streams = {}
        for contender in contest.contenders:
            client = contender.client
            streams[contender.name] = [
                stack.enter_context(client.stream(f"containers/{container}/stats"))
                for container in ids(client)
            ]
        seen = stack.enter_context(_drained([one for several in streams.values() for one in several]))
        time.sleep(WARM_UP)
        for turn in contest.turns(0.15, warm_up=False):
            before = {contender.name: cpu(contender.daemon.root) for contender in turn}
            counts = dict(seen)
            time.sleep(WINDOW)
            for contender in turn:
                used = cpu(contender.daemon.root) - before[contender.name]
                turn.note("stats", contender, used / WINDOW * FIGURE)
                for stream in streams[contender.name]:
                    samples = seen[stream] - counts[stream]
                    expect(samples >= WINDOW - 1.5, f"{contender.name}: {samples} samples in {WINDOW} s")


@contextmanager
def _drained(streams: list[Connection]) -> Iterator[dict[Connection, int]]:
    """Read all streams in a thread: how many samples have come by each. A sample that is none ends it."""
    seen = dict.fromkeys(streams, 0)
    selector = selectors.DefaultSelector()
    for stream in streams:
        selector.register(stream.sock, selectors.EVENT_READ, (stream, stream.chunks()))
    going = True

    def read() -> None:
        while going:
            for key, _ in selector.select(0.2):
                stream, chunks = key.data
                json.loads(next(chunks))["cpu_stats"]["cpu_usage"]["total_usage"]
                seen[stream] += 1

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield seen
    finally:
        going = False
        reader.join()
        selector.close()
