"""How often the contenders see to it that what they were told is on the disk, counted by strace verb by verb."""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.bench import archive
from tests.bench.client import Connection, expect
from tests.bench.contest import Contender, Contest
from tests.bench.groups.ends import ready
from tests.bench.groups.execs import execute
from tests.bench.measures import OURS
from tests.bench.processes import processes
from tests.bench.registry import put, registry

CALLS = "fsync,fdatasync,syncfs,sync,sync_file_range,msync"
DURABLE = ("create", "start", "remove", "tag", "load", "pull")
"""The verbs whose answer wherry gives only when a loss of power cannot undo it."""
Counts = Mapping[str, Mapping[str, int]]
FEW = 20  # files in the image that is loaded and pulled
PULLED = "bench/few"


def count(contest: Contest) -> Counts:
    """The calls that each contender makes, by verb and name. Errors: WrongSample when wherry makes none for DURABLE."""
    image = contest.scratch / "small.tar"
    content = archive.make(FEW)
    content.write(image)
    counts: dict[str, dict[str, int]] = {}
    with registry(contest.scratch / "registry", contest.contenders) as source:
        put(source, PULLED, content)
        for contender in contest.contenders:
            for verb, number in _of_one(contender, image, f"{source.netloc}/{PULLED}"):
                counts.setdefault(verb, {})[contender.name] = number
    image.unlink()
    shutil.rmtree(contest.scratch / "registry")
    for verb in DURABLE:
        expect(counts[verb][OURS] > 0, f"{OURS} answers a {verb} before it is on the disk")
    return counts


def table(counts: Counts) -> str:
    """The counts in Markdown."""
    names = list(next(iter(counts.values())))
    lines = [f"| syncs to the disk | {' | '.join(counts)} |", "|---" * (len(counts) + 1) + "|"]
    lines += [
        f"| {name} | " + " | ".join(str(counts[verb][name]) for verb in counts) + " |" for name in names
    ]
    return "\n".join(lines)


def _of_one(contender: Contender, image: Path, pulled: str) -> Iterator[tuple[str, int]]:
    client = contender.client
    root = contender.daemon.root

    def load() -> None:
        with image.open("rb") as stream, Connection(client.path) as connection:
            connection.send("POST", "images/load?quiet=1", stream)
            connection.body(connection.head()[1])

    container = client.create("sleep", "1000")
    yield "create", _during(root, lambda: client.create("sleep", "1000"))
    yield "start", _during(root, lambda: client.start(container))
    yield "exec", _during(root, lambda: execute(client, container))
    patient = ready(client)
    yield "stop", _during(root, lambda: client.raw("POST", f"containers/{patient}/stop"))
    yield "remove", _during(root, lambda: client.remove(container))
    yield "load", _during(root, load)
    yield "tag", _during(root, lambda: client.raw("POST", "images/busybox/tag?repo=bench/tagged"))
    client.raw("DELETE", f"images/{archive.NAME}")
    yield "pull", _during(root, lambda: client.raw("POST", f"images/create?fromImage={pulled}&tag=latest"))
    for name in ("bench/tagged", pulled):
        client.raw("DELETE", f"images/{name}")


def _during(root: Path, act: Callable[[], object]) -> int:
    out = root / "strace"
    with _traced(root, out):
        act()
    lines = out.read_text().splitlines()
    out.unlink()
    return sum("sync(" in line or "syncfs(" in line or "sync_file_range(" in line for line in lines)


@contextmanager
def _traced(root: Path, out: Path) -> Iterator[None]:
    pids = processes(root)
    attach = [word for pid in pids for word in ("-p", str(pid))]
    argv = ["strace", "-f", "-q", "-o", str(out), "-e", f"trace={CALLS}", *attach]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as tracer:
        try:
            deadline = time.monotonic() + 10
            while not all(map(_is_traced, pids)):
                expect(tracer.poll() is None and time.monotonic() < deadline, "strace does not attach")
                time.sleep(0.01)
            yield
        finally:
            tracer.send_signal(signal.SIGINT)


def _is_traced(pid: int) -> bool:
    threads = list(Path(f"/proc/{pid}/task").glob("*/status"))
    return bool(threads) and all("TracerPid:\t0\n" not in thread.read_text() for thread in threads)
