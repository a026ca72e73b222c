"""Pull and unpack from a registry of the machine's own: of 85 MB in 5,000 files in a layer, and of four such layers.

On the disk and on tmpfs. The CPU is that of the daemon's processes by their clocks and of those that ended meanwhile,
as the kernel tells; the registry's, and what the kernel does by itself, is nobody's.
"""

import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tests.bench import archive
from tests.bench.archive import FILES, Content
from tests.bench.client import Client, Connection, expect
from tests.bench.contest import Contender, Contest, started
from tests.bench.groups.cpu import SETTLE, Genealogy
from tests.bench.groups.images import removed, require_whole
from tests.bench.measures import OURS
from tests.bench.processes import cpu_of, processes
from tests.bench.registry import Wire, put, registry
from tests.bench.taskstats import NotThere, Taskstats
from tests.roots import filesystem

DISCONNECTS = 10
TMPFS = Path("/dev/shm")
ONE, FOUR = "bench/one", "bench/four"


def measure(contest: Contest) -> None:
    """On the disk, with disconnects, and once more with roots on tmpfs where there is one."""
    one, four = archive.make(), archive.make(layers=4)
    with ExitStack() as ready:
        root = contest.scratch / "registry"
        ready.callback(shutil.rmtree, root)
        source = ready.enter_context(registry(root, contest.contenders))
        size = put(source, ONE, one)
        put(source, FOUR, four)
        _measure(contest, f"{source.netloc}/{ONE}", one, "pull-disk")
        _interrupted(contest, source.port, size, one)
        if filesystem(TMPFS) != "tmpfs":
            print(f"{TMPFS} is no tmpfs: nothing is pulled to one", file=sys.stderr)
            return
        contenders = ready.enter_context(started(_on_tmpfs))
        source = ready.enter_context(registry(root, contenders))
        aside = replace(contest, contenders=contenders)
        _measure(aside, f"{source.netloc}/{ONE}", one, "pull")
        _measure(aside, f"{source.netloc}/{FOUR}", four, "pull-four")


def _on_tmpfs(prefix: str) -> Path:
    return Path(tempfile.mkdtemp(prefix=prefix, dir=TMPFS))


def _measure(contest: Contest, name: str, content: Content, measure: str) -> None:
    try:
        kernel = Taskstats()
    except NotThere as error:
        print(f"what CPU a pull takes remains unknown: {error}", file=sys.stderr)
        kernel = None
    turns = contest.turns(0.15, warm_up=False)
    for turn in itertools.islice(
        turns, None if len(content.layers) == 1 else 2
    ):  # dockerd takes 10 s for four
        for contender in turn:
            os.sync()
            pull = _Pull(contender, name, kernel)
            turn.note(measure, contender, pull.took)
            if kernel is not None:
                turn.note(f"{measure}-cpu", contender, pull.cpu)
            if len(content.layers) == 1:
                turn.note(f"{measure}-files", contender, FILES / pull.unpacking)
            _check(contender.client, name, content)
            removed(contender.client, name)
    if kernel is not None:
        kernel.close()


class _Pull:
    """A pull, and what it took: seconds in all, those of the unpacking of its last layer, CPU-seconds."""

    def __init__(self, contender: Contender, name: str, kernel: Taskstats | None) -> None:
        daemon = processes(contender.daemon.root)
        before = sum(map(cpu_of, daemon))
        if kernel is not None:
            kernel.drain()
        began = time.perf_counter()
        self.unpacking = _pull(contender.client, name)
        self.took = time.perf_counter() - began
        time.sleep(SETTLE)
        self.cpu = sum(map(cpu_of, daemon)) - before
        if kernel is not None:
            self.cpu += sum(Genealogy(frozenset(daemon), frozenset()).shares(kernel.drain()).values())


def _pull(client: Client, name: str) -> float:
    """Pull an image: the seconds from when its last layer was here until it was unpacked."""
    here: dict[str, float] = {}
    done = 0.0
    with Connection(client.path) as connection:
        connection.send("POST", f"images/create?fromImage={name}&tag=latest")
        status, _ = connection.head()
        expect(status == 200, f"a pull answers {status}")
        for chunk in connection.chunks():
            for line in map(json.loads, chunk.splitlines()):
                expect("error" not in line, f"a pull says {line}")
                if line["status"] in ("Download complete", "Extracting"):
                    here.setdefault(line["id"], time.perf_counter())
                elif line["status"] == "Pull complete":
                    done = time.perf_counter()
    return done - max(here.values())


def _check(client: Client, name: str, content: Content) -> None:
    found = client.call("GET", f"images/{name}/json")
    expect(found["Id"] == content.image, f"{found['Id']} was pulled, not {content.image}")
    require_whole(client, name, content)


def _interrupted(contest: Contest, port: int, size: int, content: Content) -> None:
    """How many times the size comes over a wire that breaks ten times. dockerd gives such a pull up after a minute."""
    for contender in contest.contenders:
        if contender.name != OURS:
            continue
        wire = Wire(port, DISCONNECTS, size // (DISCONNECTS + 1))
        name = f"{wire.netloc}/{ONE}"
        _pull(contender.client, name)
        wire.close()
        expect(wire.cuts == 0, f"the wire was cut {DISCONNECTS - wire.cuts} times")
        contest.note("pull-wire", contender, wire.count / size)
        _check(contender.client, name, content)
        removed(contender.client, name)
