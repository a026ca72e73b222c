# ruff: noqa: ASYNC240 - the files of a test are small, and what is waited for has no event
import asyncio
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.logs import tail as log_tail
from engine.logs.files import LogFiles
from engine.logs.reader import LogQuery, read
from engine.logs.record import fixed_time, time_text
from runtime.shim.jsonlog import JsonLog
from tests.unit.engine.logged import PLAIN, T0, record, whole


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "c-json.log"


async def test_frames_carry_the_stream_of_each_record(log: Path) -> None:
    log.write_text(record("out\n") + record("err\n", "stderr") + record("é\n") + record("?\n", "other"))
    assert await whole(log, LogQuery()) == (
        b"\x01\0\0\0\0\0\0\x04out\n" + b"\x02\0\0\0\0\0\0\x04err\n" + b"\x01\0\0\0\0\0\0\x03\xc3\xa9\n"
    )
    assert await whole(log, LogQuery(stdout=False)) == b"\x02\0\0\0\0\0\0\x04err\n"
    assert await whole(log, PLAIN) == "out\nerr\né\n".encode()


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
    assert await whole(log) == written


async def test_timestamps_and_details_in_dockers_form(log: Path) -> None:
    log.write_text(
        record("a\n", at=120_000_000, b="x y", a="1&2")
        + '{"log":"b\\n","stream":"stdout","time":"2023-11-14T22:13:20Z"}\n'
    )
    query = LogQuery(timestamps=True, details=True, multiplexed=False)
    assert await whole(log, query) == (
        b"2023-11-14T22:13:20.120000000Z a=1%262,b=x+y a\n2023-11-14T22:13:20.000000000Z  b\n"
    )


async def test_records_as_json(log: Path) -> None:
    log.write_text(record("a\n", at=120_000_000, b="x y", a="1&2") + record("", "stderr"))
    first = {"Line": "a\n", "Source": "stdout", "Timestamp": "2023-11-14T22:13:20.12Z"}
    attributes = {"Attrs": [{"Key": "a", "Value": "1&2"}, {"Key": "b", "Value": "x y"}]}
    second = {"Source": "stderr", "Timestamp": "2023-11-14T22:13:20Z"}
    told = await whole(log, LogQuery(as_json=b"", timestamps=True))
    assert [json.loads(line) for line in told.splitlines()] == [first, second]
    told = await whole(log, LogQuery(as_json=b"\x1e", details=True, stderr=False))
    assert told[:1] == b"\x1e"
    assert json.loads(told[1:]) == first | attributes


async def test_since_counts_up_to_the_first_in_time_and_until_ends(log: Path) -> None:
    log.write_text("".join(record(f"{at}\n", at=at) for at in (1, 2, 3, 2, 4, 5, 3)))
    assert await whole(log, LogQuery(multiplexed=False, since_ns=T0 + 3)) == b"3\n2\n4\n5\n3\n"
    assert await whole(log, LogQuery(multiplexed=False, until_ns=T0 + 3)) == b"1\n2\n3\n2\n"
    assert await whole(log, LogQuery(multiplexed=False, since_ns=T0 + 2, until_ns=T0 + 3)) == b"2\n3\n2\n"
    assert await whole(log, LogQuery(multiplexed=False, since_ns=T0 + 9)) == b""


async def test_damage_is_skipped(log: Path) -> None:
    log.write_bytes(
        record("a\n").encode()
        + b'{"log":"torn{"log":"x\\n"}\n\0\0\0\0\n\xff\xfe\n[]\n3\n\n'
        + record("b\n").encode()
    )
    assert await whole(log) == b"a\nb\n"


async def test_a_torn_last_line_is_no_record_until_its_end_comes(log: Path) -> None:
    last = record("b\n")
    log.write_text(record("a\n") + last[:20])
    assert await whole(log) == b"a\n"
    stream = read(log, LogQuery(multiplexed=False, follow=True), ended := asyncio.Event())
    assert await anext(stream) == b"a\n"
    with log.open("a") as file:
        file.write(last[20:])
    assert await anext(stream) == b"b\n"
    ended.set()
    assert [batch async for batch in stream] == []


async def test_a_record_without_its_newline_counts_at_the_end(log: Path) -> None:
    log.write_text(record("a\n") + record("b\n").rstrip("\n"))
    assert await whole(log) == b"a\nb\n"


async def test_a_missing_log_is_empty(log: Path) -> None:
    assert await whole(log) == b""
    assert await whole(log.parent / "nowhere" / "log") == b""


async def test_rotated_files_come_first_oldest_first(log: Path) -> None:
    for number in range(12, 0, -1):
        Path(f"{log}.{number}").write_text(record(f"{number}\n"))
    Path(f"{log}.x").write_text(record("x\n"))
    log.write_text(record("now\n"))
    expected = [*(f"{number}\n" for number in range(12, 0, -1)), "now\n"]
    assert await whole(log) == "".join(expected).encode()
    for tail in (0, 1, 2, 12, 13, 99, -1):
        kept = expected if tail < 0 else expected[len(expected) - min(tail, 13) :]
        assert await whole(log, LogQuery(multiplexed=False, tail=tail)) == "".join(kept).encode()


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
        name.write_text("".join(map(record, texts)))
    texts = [text for content in contents for text in content]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_tail, "_BLOCK", block)
        output = asyncio.run(whole(path, LogQuery(multiplexed=False, tail=tail)))
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
        patch.setattr(log_tail, "_BLOCK", block)
        offset, found = log_tail.tail_offset(file.fileno(), wanted)
    lines = content.split(b"\n")[:-1]
    assert found == min(wanted, len(lines))
    assert content[offset:].count(b"\n") == found
    assert offset == 0 or content[offset - 1 : offset] == b"\n"


async def test_reading_without_follow_ends_though_the_log_grows(log: Path) -> None:
    log.write_text(record("x" * 1000 + "\n") * 1000)
    count = 0
    async for batch in read(log, PLAIN, asyncio.Event()):
        count += batch.count(b"\n")
        with log.open("a") as file:
            file.write(record("more\n") * 1000)
    assert count == 1000


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
        name.write_text(record(f"{name.name}\n"))
    files = LogFiles(str(log))
    assert files.open(None, follow=True)
    os.rename(f"{log}.1", f"{log}.2")
    os.rename(log, f"{log}.1")
    first = files.read()
    log.write_text(record("new\n"))
    assert [json.loads(line)["log"] for line in (first + files.read() + files.read()).splitlines()] == [
        f"{log.name}.1\n",
        f"{log.name}\n",
        "new\n",
    ]
    assert files.read() == b""
    files.close()
