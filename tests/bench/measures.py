"""What is measured, what it must reach beside dockerd, and the table of it. Pure.

A ratio is wherry's median over dockerd's. The targets are those that the project has set itself.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Samples = Mapping[str, Sequence[float]]
"""The values that each contender had, by its name."""
OURS, THEIRS = "wherry", "dockerd"


@dataclass(frozen=True, slots=True)
class Measure:
    """A row of the table. `target`: the ratio to reach, None for a figure that is told alone.

    `more`: more is better; the target is a ratio at least. `limit`: what wherry's own median must not exceed, beside
    the ratio where there is a target, too.
    """

    what: str
    unit: str
    target: float | None = None
    more: bool = False
    limit: float | None = None

    def ratio(self, samples: Samples) -> float | None:
        """wherry's median over dockerd's, None where one of them has none."""
        ours, theirs = samples.get(OURS), samples.get(THEIRS)
        if not ours or not theirs or not statistics.median(theirs):
            return None
        return statistics.median(ours) / statistics.median(theirs)

    def met(self, samples: Samples) -> bool | None:
        """Whether the target and the limit are reached; None where there is none or no ratio."""
        within = None if self.limit is None else statistics.median(samples[OURS]) <= self.limit
        ratio = self.ratio(samples)
        if ratio is None or self.target is None or within is False:
            return within
        return ratio >= self.target if self.more else ratio <= self.target

    def best(self, values: Sequence[float]) -> float:
        """The best of the values."""
        return max(values) if self.more else min(values)


MEASURES: Mapping[str, Measure] = {
    "run-none": Measure("run, network none", "ms", 0.4),
    "run-bridge": Measure("run, network bridge", "ms", 0.4),
    "run-published": Measure("run, a port published", "ms", 0.4),
    "run-cli": Measure("`docker run --rm`", "ms", 0.5),
    "run-many": Measure("40 runs, 8 at once, network none", "containers/s", 3, more=True),
    "exec": Measure("exec of `true`", "ms", 0.85),
    "exec-8": Measure("8 execs at once", "ms"),
    "stop": Measure("stop", "ms", 1),
    "kill": Measure("kill, until it is exited", "ms"),
    "remove": Measure("`rm -f` of a running container", "ms", 0.6),
    "list": Measure("list of 220 containers", "ms", 0.7),
    "inspect": Measure("inspect", "ms", 1),
    "start-event": Measure("start, until a listener has its event", "ms"),
    "network-create": Measure("a network is made", "ms", 0.2),
    "network-remove": Measure("and removed", "ms", 0.2),
    "network-start": Measure("start in a user's network less start in none, best of 5 each", "ms", 0.1),
    "network-own": Measure("the network of a start by its own clock, namespace to DNS", "ms", limit=5),
    "port-start": Measure("start, for each further published port", "ms", 0.1),
    "ports-start": Measure("start, for 10 published ports", "ms", 0.1),
    "ports-remove": Measure("`rm -f`, for 10 published ports", "ms", 0.1),
    "network-boot": Measure("restart, for 50 networks and 1,000 published ports", "ms", limit=100),
    "back-dns": Measure("DNS answers after kill -9, from the next start", "s", limit=1),
    "back-proxy": Measure("a port published on [::1] too, which a proxy carries", "s", limit=1),
    "dns": Measure("names of containers by DNS, 64 at a time", "answers/s", 3, more=True),
    "dns-one": Measure("one at a time", "ms"),
    "log-write": Measure("a container writes 100-byte lines", "MB/s", 5, more=True),
    "log-write-client": Measure("the same with a client attached", "MB/s", 5, more=True),
    "log-read": Measure("read of a log of 100-byte lines", "MB/s", 3, more=True),
    "log-follow": Measure("a line written, until a client that follows has it", "ms", 1.5),
    "stats": Measure("20 stats streams for 10 s", "CPU-s", 0.5),
    "health": Measure("health checks of 100 containers, each every 5 s, for 10 s", "CPU-s", 0.5),
    "copy-put": Measure("2,000 files copied into a container", "ms", 0.4),
    "copy-get": Measure("and out of it", "ms", 1.5),
    "copy-one": Measure("one file out of it", "ms"),
    "load": Measure("load of an image of 85 MB in 5,000 files", "s", 0.5),
    "save": Measure("save of it", "s", 0.6),
    "rmi": Measure("removal of it", "s", 1),
    "commit": Measure("commit of a container with the same files", "s", 0.5),
    "pull": Measure("pull of it from a registry, unpacked on tmpfs", "s", 0.5),
    "pull-cpu": Measure("the daemon's CPU for that", "s", 0.35),
    "pull-files": Measure("files unpacked on tmpfs", "files/s", 2, more=True),
    "pull-four": Measure("pull of four such layers, on tmpfs", "s", 0.5),
    "pull-four-cpu": Measure("the daemon's CPU for that of four", "s", 0.35),
    "pull-disk": Measure("pull of it, unpacked on the disk", "s", 0.8),
    "pull-disk-cpu": Measure("the daemon's CPU for that on the disk", "s", 0.35),
    "pull-disk-files": Measure("files unpacked on the disk", "files/s", 2, more=True),
    "pull-wire": Measure("bytes of a pull with 10 disconnects, by the image's", "times", limit=1.05),
    "push": Measure("push of it to a registry that has nothing of it", "s", 1),
    "build-cold-api": Measure("build of ten steps without a cache, by `POST /build`", "ms", 0.5),
    "build-cached-api": Measure("again, all of it cached", "ms", 1),
    "build-cold-cli": Measure("the same without a cache, by `docker build`", "ms", 0.5),
    "build-cached-cli": Measure("again, all of it cached, by `docker build`", "ms", 1),
    "build-context": Measure("build with a context of 200 MB that is new (100 MB/s are 2 s)", "s", limit=2),
    "build-context-memory": Measure("what the daemon takes more meanwhile, at most", "MB", limit=32),
    "build-stages": Measure("build of two stages that sleep a second each", "s", limit=1.9),
    "memory-idle": Measure("PSS without a container", "MB", 0.8),
    "memory-used": Measure("PSS after the measures above, without a container", "MB"),
    "memory-container": Measure("PSS per running container, of 20", "MB", 0.3),
    "restart": Measure("restart with 200 stopped containers, until it answers", "s", 0.3),
    **{
        f"crowd-{name}": Measure(f"beside 1,000 stopped and 100 running containers: {what}", "ms", limit=50)
        for name, what in (
            ("ping", "ping"),
            ("list", "list of all"),
            ("inspect", "inspect"),
            ("events", "events of the last minute"),
            ("create", "create"),
            ("remove", "remove"),
        )
    },
    "cpu-runc": Measure("CPU per container (`docker run`, network none): runc and init", "ms"),
    "cpu-shim": Measure("the shim", "ms"),
    "cpu-daemon": Measure("the daemon", "ms"),
    "cpu-client": Measure("the client, Docker's CLI", "ms"),
    "cpu-sum": Measure("all of them", "ms"),
}
"""By name, in the order of the table."""


def number(value: float) -> str:
    """Three digits that count, more where there are more before the point."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def row(measure: Measure, samples: Samples) -> str:
    """One row: the medians, and in brackets the best where there are several samples."""
    cells = [f"{measure.what}, {measure.unit}"]
    for name in (OURS, THEIRS):
        values = samples.get(name) or ()
        best = f" ({number(measure.best(values))})" if len(values) > 1 else ""
        cells.append(number(statistics.median(values)) + best if values else "–")
    ratio = measure.ratio(samples)
    cells.append(f"{ratio:.2f}" if ratio is not None else "–")
    sign = "≥" if measure.more else "≤"
    wanted = [f"{sign} {measure.target:g}"] if measure.target is not None else []
    wanted += [f"≤ {measure.limit:g} {measure.unit}"] if measure.limit is not None else []
    cells.append(", ".join(wanted))
    cells.append({True: "yes", False: "**missed**", None: ""}[measure.met(samples)])
    return "| " + " | ".join(cells) + " |"


def table(results: Mapping[str, Samples]) -> str:
    """All that was measured, in Markdown."""
    lines = [
        f"| what: median (best) | {OURS} | {THEIRS} | ratio | target | met |",
        "|---|---|---|---|---|---|",
    ]
    lines += [row(measure, results[name]) for name, measure in MEASURES.items() if name in results]
    return "\n".join(lines)
