# ruff: noqa: ASYNC240, ASYNC110 - the files of a test are small, and what is waited for has no event
import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.logs import files as log_files
from engine.logs import reader
from engine.logs.files import LogFiles, tail_offset
from engine.logs.reader import LogQuery, read
from engine.logs.record import fixed_time, time_text
from runtime.shim.jsonlog import JsonLog

T0 = 1_700_000_000_000_000_000
PLAIN = LogQuery(multiplexed=False)


def _time(at: int) -> str:
    """As Go prints it: without trailing zeros."""
    return time_text(T0 + at).rstrip("Z").rstrip("0").rstrip(".") + "Z"


def _record(text: str, stream: str = "stdout", at: int = 0, **attrs: str) -> str:
    fields: dict[str, object] = {"log": text, "stream": stream, "time": _time(at)}
    if attrs:
        fields["attrs"] = attrs
    return json.dumps(fields) + "\n"


def _ended() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


async def _all(path: Path, query: LogQuery = PLAIN) -> bytes:
    return b"".join([batch async for batch in read(path, query, _ended())])


async def _next(stream: AsyncIterator[bytes]) -> bytes:
    return await anext(stream)


def _descriptors() -> list[str]:
    return sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_open(fd))


def _is_open(fd: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{fd}")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "c-json.log"


async def test_frames_carry_the_stream_of_each_record(log: Path) -> None:
    log.write_text(_record("out\n") + _record("err\n", "stderr") + _record("é\n") + _record("?\n", "other"))
    assert await _all(log, LogQuery()) == (
        b"\x01\0\0\0\0\0\0\x04out\n" + b"\x02\0\0\0\0\0\0\x04err\n" + b"\x01\0\0\0\0\0\0\x03\xc3\xa9\n"
    )
    assert await _all(log, LogQuery(stdout=False)) == b"\x02\0\0\0\0\0\0\x04err\n"
    assert await _all(log, PLAIN) == "out\nerr\né\n".encode()


async def test_what_the_shim_writes_comes_out_byte_for_byte(log: Path) -> None:
    written = (
        b'a "quoted" <line> & \\ \t\r\n'
        + "\u2028 π 漢\n".encode()
        + b"\x00\x01\x1f\n"
        + b"y" * 100_000
        + b"\n"
    )
    writer = JsonLog(str(log))
    writer.write(1, written)
    writer.close()
    assert await _all(log) == written


async def test_timestamps_and_details_in_dockers_form(log: Path) -> None:
    log.write_text(
        _record("a\n", at=120_000_000, b="x y", a="1&2")
        + '{"log":"b\\n","stream":"stdout","time":"2023-11-14T22:13:20Z"}\n'
    )
    query = LogQuery(timestamps=True, details=True, multiplexed=False)
    assert await _all(log, query) == (
        b"2023-11-14T22:13:20.120000000Z a=1%262,b=x+y a\n2023-11-14T22:13:20.000000000Z  b\n"
    )


async def test_records_as_json(log: Path) -> None:
    log.write_text(_record("a\n", at=120_000_000, b="x y", a="1&2") + _record("", "stderr"))
    first = {"Line": "a\n", "Source": "stdout", "Timestamp": "2023-11-14T22:13:20.12Z"}
    attributes = {"Attrs": [{"Key": "a", "Value": "1&2"}, {"Key": "b", "Value": "x y"}]}
    second = {"Source": "stderr", "Timestamp": "2023-11-14T22:13:20Z"}
    told = await _all(log, LogQuery(as_json=b"", timestamps=True))
    assert [json.loads(line) for line in told.splitlines()] == [first, second]
    told = await _all(log, LogQuery(as_json=b"\x1e", details=True, stderr=False))
    assert told[:1] == b"\x1e"
    assert json.loads(told[1:]) == first | attributes


async def test_since_counts_up_to_the_first_in_time_and_until_ends(log: Path) -> None:
    log.write_text("".join(_record(f"{at}\n", at=at) for at in (1, 2, 3, 2, 4, 5, 3)))
    assert await _all(log, LogQuery(multiplexed=False, since_ns=T0 + 3)) == b"3\n2\n4\n5\n3\n"
    assert await _all(log, LogQuery(multiplexed=False, until_ns=T0 + 3)) == b"1\n2\n3\n2\n"
    assert await _all(log, LogQuery(multiplexed=False, since_ns=T0 + 2, until_ns=T0 + 3)) == b"2\n3\n2\n"
    assert await _all(log, LogQuery(multiplexed=False, since_ns=T0 + 9)) == b""


async def test_damage_is_skipped(log: Path) -> None:
    log.write_bytes(
        _record("a\n").encode()
        + b'{"log":"torn{"log":"x\\n"}\n\0\0\0\0\n\xff\xfe\n[]\n3\n\n'
        + _record("b\n").encode()
    )
    assert await _all(log) == b"a\nb\n"


async def test_a_torn_last_line_is_no_record_until_its_end_comes(log: Path) -> None:
    whole = _record("b\n")
    log.write_text(_record("a\n") + whole[:20])
    assert await _all(log) == b"a\n"
    stream = read(log, LogQuery(multiplexed=False, follow=True), ended := asyncio.Event())
    assert await anext(stream) == b"a\n"
    with log.open("a") as file:
        file.write(whole[20:])
    assert await anext(stream) == b"b\n"
    ended.set()
    assert [batch async for batch in stream] == []


async def test_a_record_without_its_newline_counts_at_the_end(log: Path) -> None:
    log.write_text(_record("a\n") + _record("b\n").rstrip("\n"))
    assert await _all(log) == b"a\nb\n"


async def test_a_missing_log_is_empty(log: Path) -> None:
    assert await _all(log) == b""
    assert await _all(log.parent / "nowhere" / "log") == b""


async def test_rotated_files_come_first_oldest_first(log: Path) -> None:
    for number in range(12, 0, -1):
        Path(f"{log}.{number}").write_text(_record(f"{number}\n"))
    Path(f"{log}.x").write_text(_record("x\n"))
    log.write_text(_record("now\n"))
    expected = [*(f"{number}\n" for number in range(12, 0, -1)), "now\n"]
    assert await _all(log) == "".join(expected).encode()
    for tail in (0, 1, 2, 12, 13, 99, -1):
        kept = expected if tail < 0 else expected[len(expected) - min(tail, 13) :]
        assert await _all(log, LogQuery(multiplexed=False, tail=tail)) == "".join(kept).encode()


@given(
    st.lists(st.lists(st.text(alphabet="ab\n", max_size=9), max_size=6), min_size=1, max_size=4),
    st.integers(0, 30),
    st.integers(3, 200),
)
@settings(deadline=None, max_examples=60)
def test_the_tail_is_the_end_whatever_the_blocks(
    tmp_path_factory: pytest.TempPathFactory, contents: list[list[str]], tail: int, block: int
) -> None:
    directory = tmp_path_factory.mktemp("tail")
    path = directory / "log"
    names = [path, *(Path(f"{path}.{number}") for number in range(1, len(contents)))]
    for name, texts in zip(reversed(names), contents, strict=True):
        name.write_text("".join(map(_record, texts)))
    texts = [text for content in contents for text in content]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_files, "BLOCK", block)
        output = asyncio.run(_all(path, LogQuery(multiplexed=False, tail=tail)))
    assert output == "".join(texts[len(texts) - min(tail, len(texts)) :]).encode()


@given(
    st.binary(max_size=40).map(lambda data: data.replace(b"\0", b"\n")), st.integers(1, 9), st.integers(1, 9)
)
@settings(deadline=None)
def test_tail_offset_counts_lines(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, wanted: int, block: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "lines"
    path.write_bytes(content)
    with open(path, "rb") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_files, "BLOCK", block)
        offset, found = tail_offset(file.fileno(), wanted)
    lines = content.split(b"\n")[:-1]
    assert found == min(wanted, len(lines))
    assert content[offset:].count(b"\n") == found
    assert offset == 0 or content[offset - 1 : offset] == b"\n"


async def test_reading_without_follow_ends_though_the_log_grows(log: Path) -> None:
    log.write_text(_record("x" * 1000 + "\n") * 1000)
    count = 0
    async for batch in read(log, PLAIN, asyncio.Event()):
        count += batch.count(b"\n")
        with log.open("a") as file:
            file.write(_record("more\n") * 1000)
    assert count == 1000


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


async def test_follow_from_the_end_skips_what_was(log: Path) -> None:
    log.write_text(_record("old\n"))
    follower = _Follower(log, tail=0)
    await asyncio.sleep(0.05)
    with log.open("a") as file:
        file.write(_record("new\n"))
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


async def test_few_new_lines_are_read_without_a_thread(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = JsonLog(str(log))
    writer.write(1, b"0\n")
    follower = _Follower(log)
    await follower.until(b"0\n")
    await asyncio.sleep(0.05)
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
    log.write_text(_record("a\n"))
    if _glances(log) is None:
        pytest.skip("this file system does not read without blocking")
    files = LogFiles(str(log))
    files.open(None, follow=True)
    assert files.glance() == _record("a\n").encode()
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
    log.write_text(_record("c\n") * 5)  # others: it was truncated, and is longer now
    assert files.glance() is None
    assert files.read() == (_record("c\n") * 5).encode()
    monkeypatch.setattr(os, "RWF_NOWAIT", 1 << 30)  # what no kernel knows
    assert files.glance() is None
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
    log.write_text(_record("a\n") + _record("b\n"))
    follower = _Follower(log)
    await follower.until(b"b\n")
    log.write_text("")
    with log.open("a") as file:
        file.write(_record("c\n"))
    await follower.until(b"c\n")
    log.write_text(_record("d, as long as all that was there before, and then some\n" * 3))
    await follower.until(b"then some\n")
    assert (await follower.end()).startswith(b"a\nb\nc\nd, as")


async def test_follow_waits_for_a_log_that_is_not_there_yet(log: Path) -> None:
    follower = _Follower(log, tail=5)
    await asyncio.sleep(0.05)
    log.write_text(_record("first\n"))
    await follower.until(b"first\n")
    assert await follower.end() == b"first\n"


async def test_several_follow_one_log(log: Path) -> None:
    followers = [_Follower(log) for _ in range(3)]
    await asyncio.sleep(0.05)
    log.write_text(_record("a\n"))
    await followers[0].until(b"a\n")
    assert await followers[0].end() == b"a\n"
    with log.open("a") as file:
        file.write(_record("b\n"))
    for follower in followers[1:]:
        await follower.until(b"b\n")
        assert await follower.end() == b"a\nb\n"


async def test_follow_without_inotify_looks_now_and_then(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.logs.inotify._MASK", 0)
    monkeypatch.setattr("engine.logs.reader._POLL", 0.01)
    follower = _Follower(log)
    await asyncio.sleep(0.05)
    log.write_text(_record("a\n"))
    await follower.until(b"a\n")
    assert await follower.end() == b"a\n"


async def test_follow_ends_at_until(log: Path) -> None:
    log.write_text(_record("a\n") + _record("b\n", at=10**12) + _record("c\n"))
    query = LogQuery(multiplexed=False, follow=True, until_ns=T0 + 5)
    assert [batch async for batch in read(log, query, asyncio.Event())] == [b"a\n"]


async def test_follow_of_a_stopped_container_is_no_follow(log: Path) -> None:
    log.write_text(_record("a\n"))
    assert await _all(log, LogQuery(multiplexed=False, follow=True)) == b"a\n"


async def test_a_reader_that_is_left_leaves_nothing_open(log: Path) -> None:
    log.write_text(_record("a\n"))
    await asyncio.to_thread(_descriptors)
    before = _descriptors()
    for _ in range(5):
        stream = read(log, LogQuery(follow=True), asyncio.Event())
        await anext(stream)
        waiting: asyncio.Task[bytes] = asyncio.get_running_loop().create_task(_next(stream))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await stream.aclose()  # type: ignore[attr-defined]
    assert _descriptors() == before
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20.000000000Z"),
        ("2023-11-14T22:13:20.5Z", "2023-11-14T22:13:20.500000000Z"),
        ("2023-11-14T22:13:20.123456789Z", "2023-11-14T22:13:20.123456789Z"),
        ("2023-11-14T23:13:20.1+01:00", "2023-11-14T22:13:20.100000000Z"),
        ("2023-11-14T20:43:20-01:30", "2023-11-14T22:13:20.000000000Z"),
        ("yesterday", ""),
        ("2023-11-14T22:13:20.5", ""),
        ("", ""),
    ],
)
def test_times_have_one_form(text: str, expected: str) -> None:
    assert fixed_time(text) == expected


@given(st.integers(0, 4 * 10**18), st.integers(0, 4 * 10**18))
def test_texts_of_times_sort_as_times_do(one: int, other: int) -> None:
    assert (time_text(one) < time_text(other)) == (one < other)
    assert fixed_time(time_text(one).rstrip("Z").rstrip("0").rstrip(".") + "Z") == time_text(one)


def test_a_file_that_is_rotated_while_it_is_opened_is_read_once(log: Path) -> None:
    for name in (log, Path(f"{log}.1")):
        name.write_text(_record(f"{name.name}\n"))
    files = LogFiles(str(log))
    assert files.open(None, follow=True)
    os.rename(f"{log}.1", f"{log}.2")
    os.rename(log, f"{log}.1")
    first = files.read()
    log.write_text(_record("new\n"))
    assert [json.loads(line)["log"] for line in (first + files.read() + files.read()).splitlines()] == [
        f"{log.name}.1\n",
        f"{log.name}\n",
        "new\n",
    ]
    assert files.read() == b""
    files.close()
