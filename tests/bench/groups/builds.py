"""Builds: ten steps anew and from the cache, by the classic API and the CLI; a large context; stages side by side."""

import io
import itertools
import os
import subprocess
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.client import expect
from tests.bench.contest import Contender, Contest, Turn
from tests.bench.groups.runs import environment
from tests.bench.measures import OURS

_STEPS = (
    "WORKDIR /app",
    "COPY one .",
    "RUN echo 1 >made-1",
    "RUN mkdir -p a/b && echo 2 >a/b/made-2",
    "ENV COLOUR=blue",
    "RUN echo $COLOUR >made-3",
    "COPY two two/",
    "RUN cat one two/* >made-4",
    "RUN rm made-1 && touch made-5",
    'CMD ["cat", "made-4"]',
)
_TEN = "\n".join(["FROM busybox", *_STEPS, ""])
_LARGE = "FROM scratch\nCOPY large /\n"
_STAGES = """FROM busybox AS one
RUN sleep 1; echo {number} >/one
FROM busybox AS two
RUN sleep 1; echo {number} >/two
FROM scratch
COPY --from=one /one /
COPY --from=two /two /
"""
_MEGABYTE = 1_000_000
_CONTEXT = 200  # MB
_HIGH_WATER = "VmHWM:"


def measure(contest: Contest) -> None:
    """All of it, in a directory of its own."""
    context = contest.scratch / "context"
    (context / "two").mkdir(parents=True)
    (context / "one").write_text("one\n")
    for number in range(20):
        (context / "two" / f"file-{number}").write_text(f"{number}\n" * 100)
    (context / "Dockerfile").write_text(_TEN)
    packed = _packed(context)
    for turn in contest.turns(0.25):
        for contender in turn:
            for name, options in (("cold", "&nocache=1"), ("cached", "")):
                with turn.timed(f"build-{name}-api", contender):
                    output = contender.client.raw("POST", f"build?t=ten{options}", packed)
                expect(b"Successfully built" in output, f"{output[-1000:]!r}")
            for name, flags in (("cold", ["--no-cache"]), ("cached", [])):
                with turn.timed(f"build-{name}-cli", contender):
                    build(contender, context, *flags, "-t", "ten")
    _measure_large(contest, contest.scratch / "large")
    _measure_stages(contest, contest.scratch / "stages")


def _packed(directory: Path) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.add(directory, ".")
    return made.getvalue()


def build(contender: Contender, context: Path, *flags: str) -> None:
    """`docker build`, which is buildx."""
    argv = ["docker", "build", "--progress", "plain", *flags, str(context)]
    done = subprocess.run(argv, env=environment(contender), capture_output=True, text=True, timeout=120)
    expect(done.returncode == 0, done.stderr[-2000:])


def _measure_large(contest: Contest, context: Path) -> None:
    """One file that is another each time, so that no daemon has any of it."""
    context.mkdir()
    (context / "Dockerfile").write_text(_LARGE)
    for turn in contest.turns(0.1):
        for contender in turn:
            with (context / "large").open("wb") as file:
                for _ in range(_CONTEXT):
                    file.write(os.urandom(_MEGABYTE))
            _build_large(turn, contender, context)


def _build_large(turn: Turn, contender: Contender, context: Path) -> None:
    before = _memory(contender, ["VmRSS:"], reset=True)
    began = time.perf_counter()
    build(contender, context)
    turn.note("build-context", contender, time.perf_counter() - began)
    if contender.name == OURS:
        turn.note("build-context-memory", contender, _memory(contender, [_HIGH_WATER]) - before)


def _memory(contender: Contender, fields: Sequence[str], *, reset: bool = False) -> float:
    """MB of a field of /proc/PID/status; with `reset` the high water mark begins anew."""
    process = Path("/proc", str(contender.daemon.pid))
    if reset:
        (process / "clear_refs").write_text("5")
    lines = (process / "status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(tuple(fields))) / 1000


def _measure_stages(contest: Contest, context: Path) -> None:
    """Two stages of a second each that do not need each other, never the same ones."""
    context.mkdir()
    numbers = itertools.count()
    for turn in contest.turns(0.15):
        for contender in turn:
            (context / "Dockerfile").write_text(_STAGES.format(number=next(numbers)))
            began = time.perf_counter()
            build(contender, context)
            turn.note("build-stages", contender, time.perf_counter() - began)
