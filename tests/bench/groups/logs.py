"""What a container can write, and how its log is read and followed.

The container copies a file of 100-byte lines to its output, so that it is never what is waited for. It is told to begin
by a fifo and tells that way when all is written: neither its start nor its end is in the time.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.client import Client, body_of, demultiplexed, expect
from tests.bench.contest import Contender, Contest

LINES = 500_000
LINE = b"%08d " + b"x" * 90 + b"\n"
WRITE = "read x < /bench/go; cat /bench/lines; echo > /bench/done"
REPEAT = "while read x; do echo $x; done < /bench/go"
FOLLOWED = 10  # lines a turn


@dataclass(slots=True)
class Fifos:
    """The way to tell a container something, and back."""

    go: int
    done: int

    def begin(self) -> None:
        """Tell it to begin."""
        os.write(self.go, b"go\n")

    def wait(self) -> None:
        """Wait until it has written all."""
        os.read(self.done, 1)


@contextmanager
def fifos(scratch: Path) -> Iterator[Fifos]:
    """Make both in the directory that the container mounts. They never are without a reader and a writer."""
    paths = [scratch / "go", scratch / "done"]
    for path in paths:
        os.mkfifo(path)
    fds = [os.open(path, os.O_RDWR) for path in paths]
    try:
        yield Fifos(*fds)
    finally:
        for fd in fds:
            os.close(fd)
        for path in paths:
            path.unlink()


def measure(contest: Contest) -> None:
    """Write without a client and read the log, write with a client, then follow."""
    lines = b"".join(LINE % number for number in range(LINES))
    (contest.scratch / "lines").write_bytes(lines)
    for turn in contest.turns(0.25, warm_up=False):
        for contender in turn:
            os.sync()  # nobody pays for what the other one wrote
            alone, read = _write_and_read(contender.client, contest.scratch, lines)
            turn.note("log-write", contender, alone)
            turn.note("log-read", contender, read)
            os.sync()
            turn.note(
                "log-write-client", contender, _write_to_client(contender.client, contest.scratch, lines)
            )
    (contest.scratch / "lines").unlink()
    _follow(contest)


def _rate(size: int, began: float) -> float:
    return size / 1e6 / (time.perf_counter() - began)


def _binds(scratch: Path) -> dict[str, list[str]]:
    return {"Binds": [f"{scratch}:/bench"]}


def _write_and_read(client: Client, scratch: Path, lines: bytes) -> tuple[float, float]:
    """MB/s of each."""
    with fifos(scratch) as fifo:
        container = client.create("sh", "-c", WRITE, host=_binds(scratch))
        client.start(container)
        began = time.perf_counter()
        fifo.begin()
        fifo.wait()
        written = _rate(len(lines), began)
    client.raw("POST", f"containers/{container}/wait")
    began = time.perf_counter()
    pieces = client.fetch(f"containers/{container}/logs?stdout=1&stderr=1")
    read = _rate(len(lines), began)
    log = demultiplexed(body_of(pieces))
    expect(log == lines, f"the log has {len(log)} bytes of {len(lines)}")
    client.remove(container)
    return written, read


def _write_to_client(client: Client, scratch: Path, lines: bytes) -> float:
    """MB/s, with a client that reads all."""
    with fifos(scratch) as fifo, ThreadPoolExecutor(1) as pool:
        container = client.create("sh", "-c", WRITE, host=_binds(scratch))
        with client.attach(container) as output:
            client.start(container)
            received = pool.submit(output.rest)
            began = time.perf_counter()
            fifo.begin()
            fifo.wait()
            written = _rate(len(lines), began)
            data = demultiplexed(b"".join(received.result()))
    expect(data == lines, f"the client got {len(data)} bytes of {len(lines)}")
    client.remove(container)
    return written


def _follow(contest: Contest) -> None:
    for turn in contest.turns(0.5):
        for contender in turn:
            with fifos(contest.scratch) as fifo:
                for latency in _latencies(contender, contest.scratch, fifo):
                    turn.note("log-follow", contender, latency)


def _latencies(contender: Contender, scratch: Path, fifo: Fifos) -> list[float]:
    """The ms from telling a container to write a line until a client that follows has read it."""
    client = contender.client
    container = client.create("sh", "-c", REPEAT, host=_binds(scratch))
    client.start(container)
    with client.stream(f"containers/{container}/logs?stdout=1&follow=1") as log:
        chunks = log.chunks()
        latencies = []
        for number in range(FOLLOWED + 1):
            time.sleep(0.01)
            line = b"line %d\n" % number
            began = time.perf_counter()
            os.write(fifo.go, line)
            seen = _until(chunks, line)
            latencies.append((time.perf_counter() - began) * 1000)
            expect(demultiplexed(seen) == line, f"it followed {seen!r}")
    client.remove(container)
    return latencies[1:]


def _until(chunks: Iterator[bytes], end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        data += next(chunks)
    return data
