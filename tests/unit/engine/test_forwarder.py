"""Sending a log: from its place on, in order, once; and counting what could not be."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from engine.logs import forwarder as forwarding
from engine.logs.drivers.target import Batch, Link, Message, Retry
from engine.logs.forwarder import Forwarder
from engine.logs.progress import Progress
from runtime.shim.jsonlog import JsonLog


class Remote:
    """A target in memory. While `down` it refuses, while `stuck` it takes nothing."""

    def __init__(self, times: int | None = None) -> None:
        self.retry = Retry(first=0.01, most=0.02, times=times)
        self.got: list[str] = []
        self.down = False
        self.free = asyncio.Event()
        self.free.set()

    def encode(self, messages: list[Message]) -> Batch:
        return Batch([each.line.encode() for each in messages], [])

    async def connect(self) -> Link:
        if self.down:
            raise ConnectionRefusedError
        return self

    async def send(self, batch: Batch) -> None:
        await self.free.wait()
        if self.down:
            raise ConnectionResetError
        self.got += [piece.decode() for piece in batch.pieces]

    def close(self) -> None:
        pass


class Log:
    def __init__(self, path: Path, **how: int) -> None:
        self.path = path
        self.writer = JsonLog(str(path), numbered=True, **how)  # type: ignore[arg-type]
        self.ended = asyncio.Event()
        self.dropped: list[int] = []
        self.count = 0

    def write(self, count: int) -> None:
        for _ in range(count):
            self.writer.write(1, b"%d\n" % self.count)
            self.count += 1

    def forwarder(self, remote: Remote, limit: int | None = None) -> Forwarder:
        async def dropped(count: int) -> None:
            self.dropped.append(count)

        return Forwarder("box", str(self.path), remote, limit=limit, dropped=dropped)

    async def end(self, task: asyncio.Task[None]) -> None:
        self.ended.set()
        await asyncio.wait_for(task, 10)


@pytest.fixture
async def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log")


@asynccontextmanager
async def sending(log: Log, remote: Remote, limit: int | None = None) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.get_running_loop().create_task(log.forwarder(remote, limit).run(log.ended))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


def numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last)]


async def test_what_comes_is_sent_at_once_and_the_rest_at_the_end(log: Log) -> None:
    remote = Remote()
    log.write(3)
    async with sending(log, remote) as task:
        await until(lambda: remote.got == numbers(0, 3))
        log.write(2)
        await until(lambda: remote.got == numbers(0, 5))
        log.writer.write(1, b"unfinished")
        log.writer.flush()
        await log.end(task)
    assert remote.got == [*numbers(0, 5), "unfinished"]
    assert log.dropped == []


async def test_another_daemon_goes_on_where_the_first_was(log: Log) -> None:
    remote = Remote()
    log.write(3)
    async with sending(log, remote):
        await until(lambda: Progress.load(str(log.path)).records == 3)
    log.write(4)
    async with sending(log, remote) as task:
        await log.end(task)
    assert remote.got == numbers(0, 7)


async def test_it_goes_on_after_rotations_while_there_was_no_daemon(tmp_path: Path) -> None:
    log, remote = Log(tmp_path / "log", max_size=2000, max_files=50), Remote()
    log.write(10)
    async with sending(log, remote):
        await until(lambda: Progress.load(str(log.path)).records == 10)
    log.write(500)
    async with sending(log, remote) as task:
        await log.end(task)
    assert remote.got == numbers(0, 510)


async def test_a_remote_that_comes_back_gets_all(log: Log) -> None:
    remote = Remote()
    remote.down = True
    log.write(5)
    async with sending(log, remote) as task:
        await asyncio.sleep(0.05)
        log.write(5)
        remote.down = False
        await until(lambda: remote.got == numbers(0, 10))
        remote.down = True
        log.write(5)
        await asyncio.sleep(0.05)
        remote.down = False
        await log.end(task)
    assert remote.got == numbers(0, 15)


async def test_what_is_rotated_away_unsent_is_counted(tmp_path: Path) -> None:
    """Also with files gone that were never looked at, and while there was no daemon."""
    log, remote = Log(tmp_path / "log", max_size=2000, max_files=2), Remote()
    remote.down = True
    log.write(10)
    async with sending(log, remote):
        await asyncio.sleep(0.05)
        log.write(1000)
    remote.down = False
    async with sending(log, remote) as task:
        await log.end(task)
    first = int(remote.got[0])
    assert remote.got == numbers(first, 1010)
    assert first > 900
    assert sum(log.dropped) == first == Progress.load(str(log.path)).dropped


async def test_what_is_rotated_away_behind_a_slow_remote_is_counted(tmp_path: Path) -> None:
    log, remote = Log(tmp_path / "log", max_size=2000, max_files=2), Remote()
    async with sending(log, remote) as task:
        log.write(10)
        await until(lambda: len(remote.got) == 10)
        remote.free.clear()
        log.write(1)
        await asyncio.sleep(0.05)  # it is on its way
        log.write(1000)
        remote.free.set()
        await log.end(task)
    (lost,) = log.dropped
    gap = next(place for place, text in enumerate(remote.got) if text != str(place))
    assert gap >= 11, "what it had begun to read it reads to its end"
    assert remote.got == numbers(0, gap) + numbers(gap + lost, 1011)
    assert lost > 900


async def test_what_a_single_file_loses_is_counted(tmp_path: Path) -> None:
    """It is begun anew whenever it is full."""
    log, remote = Log(tmp_path / "log", max_size=2000), Remote()
    async with sending(log, remote) as task:
        log.write(10)
        await until(lambda: len(remote.got) == 10)
        remote.free.clear()
        log.write(1000)
        await asyncio.sleep(0.05)
        remote.free.set()
        await log.end(task)
    assert sum(log.dropped) == 1010 - len(remote.got) > 900


async def test_a_limit_drops_the_oldest_and_counts(log: Log) -> None:
    remote = Remote()
    log.write(5)
    async with sending(log, remote, limit=20_000) as task:
        await until(lambda: remote.got == numbers(0, 5))
        remote.down = True
        log.write(1000)
        await asyncio.sleep(0.1)
        remote.down = False
        await log.end(task)
    assert sum(log.dropped) == 1005 - len(remote.got) > 500
    assert remote.got[-1] == "1004"


async def test_attempts_may_be_counted(log: Log) -> None:
    remote = Remote(times=2)
    remote.down = True
    log.write(5)
    async with sending(log, remote) as task:
        await until(lambda: Progress.load(str(log.path)).dropped == 5)
        remote.down = False
        log.write(5)
        await log.end(task)
    assert remote.got == numbers(5, 10)
    assert sum(log.dropped) == 5


async def test_a_stuck_remote_holds_nobody(log: Log) -> None:
    remote = Remote()
    remote.free.clear()
    log.write(5)
    forwarder = log.forwarder(remote)
    task = asyncio.get_running_loop().create_task(forwarder.run(log.ended))
    await asyncio.sleep(0.05)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await forwarder.give_up()
    assert log.dropped == [5]


async def test_it_is_told_of_a_stuck_remote_and_of_its_return(
    log: Log, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(forwarding, "STUCK", 0.05)
    caplog.set_level("INFO")
    remote = Remote()
    remote.free.clear()
    log.write(5)
    async with sending(log, remote) as task:
        await until(lambda: "nothing was taken" in caplog.text)
        remote.free.set()
        await log.end(task)
    assert remote.got == numbers(0, 5)
    assert caplog.text.count("is sent again") == 1


async def test_reports_of_drops_are_rare(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "BATCH", 100)
    remote = Remote(times=0)
    remote.down = True
    log.write(100)
    async with sending(log, remote) as task:
        await log.end(task)
    assert sum(log.dropped) == 100
    assert len(log.dropped) <= 2


async def test_a_full_disk_keeps_no_progress_and_sends_on(log: Log) -> None:
    remote = Remote()
    os.mkdir(f"{log.path}.sent")  # what cannot be written
    log.write(5)
    async with sending(log, remote) as task:
        await log.end(task)
    assert remote.got == numbers(0, 5)
