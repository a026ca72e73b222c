# ruff: noqa: ASYNC240, ASYNC110 - the files of a test are small, and what is waited for has no event
import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from engine.logs import files as log_files
from engine.logs import reader
from engine.logs.files import LogFiles
from engine.logs.inotify import News
from engine.logs.reader import LogQuery, read
from runtime.shim.jsonlog import JsonLog
from tests.unit.engine.logged import T0, descriptors, next_of, record, whole


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "c-json.log"


@pytest.fixture
def at_rest(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set while a reader has read all and waits for more."""
    resting, woken = asyncio.Event(), reader._woken

    async def wait(news: News, until_ns: int | None, *, told: bool) -> bool:
        resting.set()
        try:
            return await woken(news, until_ns, told=told)
        finally:
            resting.clear()

    monkeypatch.setattr(reader, "_woken", wait)
    return resting


class _Follower:
    """Collects what a following reader gives."""

    def __init__(self, path: Path, **query: object) -> None:
        self.ended = asyncio.Event()
        self.got = b""
        asked = LogQuery(multiplexed=False, follow=True, **query)  # type: ignore[arg-type]
        self._stream = read(path, asked, self.ended)
        self._task = asyncio.get_running_loop().create_task(self._collect(self._stream))

    async def _collect(self, stream: AsyncIterator[bytes]) -> None:
        async for batch in stream:
            self.got += batch

    async def until(self, expected: bytes) -> None:
        async with asyncio.timeout(20):
            while not self.got.endswith(expected):
                await asyncio.sleep(0.002)

    async def end(self) -> bytes:
        self.ended.set()
        async with asyncio.timeout(20):
            await self._task
        return self.got


async def test_follow_gives_what_is_written_and_ends_with_the_container(log: Path) -> None:
    writer = JsonLog(str(log))
    writer.write(1, b"before\n")
    follower = _Follower(log)
    await follower.until(b"before\n")
    writer.write(1, b"after\n")
    await follower.until(b"after\n")
    writer.write(1, b"last\n")
    assert await follower.end() == b"before\nafter\nlast\n"
    writer.close()


async def test_follow_from_the_end_skips_what_was(log: Path, at_rest: asyncio.Event) -> None:
    log.write_text(record("old\n"))
    follower = _Follower(log, tail=0)
    await at_rest.wait()
    with log.open("a") as file:
        file.write(record("new\n"))
    await follower.until(b"new\n")
    assert await follower.end() == b"new\n"


async def test_follow_loses_nothing_through_rotations(log: Path) -> None:
    writer = JsonLog(str(log), max_size=20_000, max_files=5)
    follower = _Follower(log)
    expected = b""
    for number in range(300):
        lines = b"".join(b"%d.%d %s\n" % (number, part, b"x" * 80) for part in range(3))
        writer.write(1 + number % 2, lines)
        expected += lines
        if number % 7 == 0:
            await asyncio.sleep(0.001)
            await follower.until(lines)
    assert await follower.end() == expected
    assert os.path.exists(f"{log}.4")
    writer.close()


async def test_one_wake_may_stand_for_a_line_a_rotation_and_another_line(log: Path) -> None:
    writer = JsonLog(str(log), max_size=300, max_files=3)
    writer.write(1, b"0\n")
    follower = _Follower(log)
    await follower.until(b"0\n")
    expected = b"0\n"
    for number in range(1, 12, 3):
        await asyncio.sleep(0.02)  # it has read all, and waits
        lines = [b"%d %s\n" % (part, b"x" * 120) for part in range(number, number + 3)]
        for line in lines:
            writer.write(1, line)
        expected += b"".join(lines)
        await follower.until(lines[-1])
    assert os.path.exists(f"{log}.2")
    assert await follower.end() == expected
    writer.close()


async def test_few_new_lines_are_read_without_a_thread(
    log: Path, monkeypatch: pytest.MonkeyPatch, at_rest: asyncio.Event
) -> None:
    writer = JsonLog(str(log))
    writer.write(1, b"0\n")
    follower = _Follower(log)
    await follower.until(b"0\n")
    await at_rest.wait()
    if _glances(log) is None:
        pytest.skip("this file system does not read without blocking")
    step = Mock(side_effect=reader._step)
    monkeypatch.setattr(reader, "_step", step)
    for number in range(1, 5):
        writer.write(1, b"%d\n" % number)
        await follower.until(b"%d\n" % number)
    step.assert_not_called()
    writer.write(1, b"y" * log_files.GLANCE + b"\n")
    await follower.until(b"y\n")
    step.assert_called()
    assert await follower.end() == b"0\n1\n2\n3\n4\n" + b"y" * log_files.GLANCE + b"\n"
    writer.close()


def _glances(log: Path) -> bytes | None:
    files = LogFiles(str(log))
    files.open(0, follow=True)
    try:
        return files.glance()
    finally:
        files.close()


def test_a_glance_says_nothing_of_what_it_does_not_see_whole(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write_text(record("a\n"))
    if _glances(log) is None:
        pytest.skip("this file system does not read without blocking")
    files = LogFiles(str(log))
    files.open(None, follow=True)
    assert files.glance() == record("a\n").encode()
    with log.open("a") as file:
        file.write('{"log":')
        file.flush()
        assert files.glance() == b""
        file.write('"b\\n"}\n')
        file.flush()
        assert files.glance() == b'{"log":"b\\n"}\n'
        file.write("\0" * log_files.GLANCE)
        file.flush()
        assert files.glance() is None
        file.truncate(10)
        assert files.glance() is None
    log.write_text(record("c\n") * 5)  # others: it was truncated, and is longer now
    assert files.glance() is None
    assert files.read() == (record("c\n") * 5).encode()
    monkeypatch.setattr(os, "RWF_NOWAIT", 1 << 30)  # what no kernel knows
    assert files.glance() is None
    files.close()


def test_a_glance_tells_the_end_of_a_page_in_memory_from_the_end_of_the_file(log: Path) -> None:
    line = record("x\n").encode()
    page = line * (4096 // len(line)) + b" " * (4095 - 4096 // len(line) * len(line)) + b"\n"
    log.write_bytes(page * 3)
    with log.open("r+b") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 4096, 8192, os.POSIX_FADV_DONTNEED)
    assert _all_glanced(log) in (None, page * 3)  # None where the kernel has let the other pages go
    log.write_bytes(page)
    assert _all_glanced(log) in (None, page)


def _all_glanced(log: Path) -> bytes | None:
    files = LogFiles(str(log))
    files.open(None, follow=True)
    try:
        return files.glance()
    finally:
        files.close()


async def test_a_follower_that_lagged_behind_all_files_goes_on_with_the_oldest(log: Path) -> None:
    writer = JsonLog(str(log), max_size=200, max_files=3)
    writer.write(1, b"0\n")
    stream = read(log, LogQuery(multiplexed=False, follow=True), ended := asyncio.Event())
    assert await anext(stream) == b"0\n"
    for number in range(1, 60):
        writer.write(1, b"%d\n" % number)
    ended.set()
    rest = b"".join([batch async for batch in stream]).split()
    kept = sum(file.read_bytes().count(b"\n") for file in log.parent.iterdir())
    first = rest[: len(rest) - kept]  # what the open file still held when it was rotated away
    assert rest[len(first) :] == [b"%d" % number for number in range(60 - kept, 60)]
    assert first == [b"%d" % number for number in range(1, len(first) + 1)]
    writer.close()


async def test_follow_notices_truncation(log: Path) -> None:
    log.write_text(record("a\n") + record("b\n"))
    follower = _Follower(log)
    await follower.until(b"b\n")
    log.write_text("")
    with log.open("a") as file:
        file.write(record("c\n"))
    await follower.until(b"c\n")
    log.write_text(record("d, as long as all that was there before, and then some\n" * 3))
    await follower.until(b"then some\n")
    assert (await follower.end()).startswith(b"a\nb\nc\nd, as")


async def test_follow_waits_for_a_log_that_is_not_there_yet(log: Path) -> None:
    follower = _Follower(log, tail=5)
    await asyncio.sleep(0.05)
    log.write_text(record("first\n"))
    await follower.until(b"first\n")
    assert await follower.end() == b"first\n"


async def test_several_follow_one_log(log: Path) -> None:
    followers = [_Follower(log) for _ in range(3)]
    await asyncio.sleep(0.05)
    log.write_text(record("a\n"))
    await followers[0].until(b"a\n")
    assert await followers[0].end() == b"a\n"
    with log.open("a") as file:
        file.write(record("b\n"))
    for follower in followers[1:]:
        await follower.until(b"b\n")
        assert await follower.end() == b"a\nb\n"


async def test_follow_without_inotify_looks_now_and_then(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.logs.inotify._MASK", 0)
    monkeypatch.setattr("engine.logs.reader._POLL", 0.01)
    follower = _Follower(log)
    await asyncio.sleep(0.05)
    log.write_text(record("a\n"))
    await follower.until(b"a\n")
    assert await follower.end() == b"a\n"


async def test_follow_ends_at_until(log: Path) -> None:
    log.write_text(record("a\n") + record("b\n", at=10**12) + record("c\n"))
    query = LogQuery(multiplexed=False, follow=True, until_ns=T0 + 5)
    assert [batch async for batch in read(log, query, asyncio.Event())] == [b"a\n"]


async def test_follow_of_a_stopped_container_is_no_follow(log: Path) -> None:
    log.write_text(record("a\n"))
    assert await whole(log, LogQuery(multiplexed=False, follow=True)) == b"a\n"


async def test_a_reader_that_is_left_leaves_nothing_open(log: Path) -> None:
    log.write_text(record("a\n"))
    await asyncio.to_thread(descriptors)
    before = descriptors()
    for _ in range(5):
        stream = read(log, LogQuery(follow=True), asyncio.Event())
        await anext(stream)
        waiting: asyncio.Task[bytes] = asyncio.get_running_loop().create_task(next_of(stream))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await stream.aclose()  # type: ignore[attr-defined]
    assert descriptors() == before
    assert len(asyncio.all_tasks()) == 1
