"""The json-file log against a plain reading of dockerd's rules, byte by byte."""

import errno
import fcntl
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.shim.jsonlog import MAX_LINE, JsonLog, escape, timestamp
from runtime.shim.protocol import STDERR, STDOUT

TIME = re.compile(rb'"time":"[^"]*"')
AWKWARD = [
    b"\n",
    b"\r",
    b"\t",
    b"\0",
    b"\x1f",
    b"\x7f",
    b'"',
    b"\\",
    b"<>&",
    b"\xe2\x80\xa8",
    b"\xe2\x80\xa9",
    b"\xff",
]
AWKWARD += [
    b"\xe2\x80",
    b"\xed\xa0\x80",
    b"\xc0\xaf",
    b"\xf4\x90\x80\x80",
    "é€😀".encode(),
    b"\xef\xbf\xbd",
    b"x" * 9000,
]
texts = st.lists(st.one_of(st.sampled_from(AWKWARD), st.binary(max_size=8), st.just(b"plain\n")), max_size=20)


def reference_escape(data: bytes) -> bytes:
    """Escape as dockerd does, one rune at a time; newlines too."""
    short = {0x22: b'\\"', 0x5C: b"\\\\", 0x0A: b"\\n", 0x0D: b"\\r"}
    out = b""
    position = 0
    while position < len(data):
        byte = data[position]
        size = rune_size(data[position : position + 4])
        rune = data[position : position + size]
        if byte in short:
            out += short[byte]
        elif byte < 0x20 or byte in b"<>&":
            out += b"\\u%04x" % byte
        elif not size:
            out += b"\\ufffd"
        elif rune in (b"\xe2\x80\xa8", b"\xe2\x80\xa9"):
            out += b"\\u202" + (b"8" if rune[2] == 0xA8 else b"9")
        else:
            out += rune
        position += size or 1
    return out


def rune_size(data: bytes) -> int:
    """Return how long the rune is that data begins with, 0 when it is none."""
    for size in range(1, len(data) + 1):
        try:
            data[:size].decode()
        except UnicodeDecodeError:
            continue
        return size
    return 0


def reference_records(stream: bytes, data: bytes, *, ended: bool) -> list[bytes]:
    """Cut and encode as dockerd: lines, 16 KiB pieces of long ones without newline, the rest at the end."""
    records = []
    while data:
        end = data[:MAX_LINE].find(b"\n") + 1
        if not end and len(data) < MAX_LINE and not ended:
            break
        piece = data[: end or MAX_LINE]
        data = data[len(piece) :]
        records.append(b'{"log":"%s","stream":"%s","time":""}' % (reference_escape(piece), stream))
    return records


def records_of(path: Path) -> list[bytes]:
    """Read a log's records with their times blanked."""
    return [TIME.sub(b'"time":""', line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x-json.log"


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    position = number = 0
    while position < len(data):
        yield data[position : position + sizes[number % len(sizes)]]
        position += sizes[number % len(sizes)]
        number += 1


@settings(max_examples=150, deadline=None)
@given(texts, st.lists(st.integers(1, 30000), min_size=1, max_size=5))
def test_records_equal_the_reference(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], sizes: list[int]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    data = b"".join(parts)
    log = JsonLog(str(path))
    for chunk in cut(data, sizes):
        log.write(STDOUT, chunk)
    assert records_of(path) == reference_records(b"stdout", data, ended=False)
    log.flush()
    log.close()
    records = reference_records(b"stdout", data, ended=True)
    assert records_of(path) == records
    text = "".join(json.loads(record)["log"] for record in records_of(path))
    if len(data) < MAX_LINE:  # else a cut may go through a rune, as in dockerd
        assert text.replace("\ufffd", "") == data.decode("utf-8", "ignore").replace("\ufffd", "")


@given(st.binary(max_size=300).filter(lambda data: b"\n" not in data))
def test_escape(data: bytes) -> None:
    assert escape(data) == reference_escape(data)


def test_streams_are_cut_apart(path: Path) -> None:
    log = JsonLog(str(path))
    log.write(STDOUT, b"out ")
    log.write(STDERR, b"err\n")
    log.write(STDOUT, b"done\n")
    log.close()
    assert [(json.loads(line)["stream"], json.loads(line)["log"]) for line in records_of(path)] == [
        ("stderr", "err\n"),
        ("stdout", "out done\n"),
    ]


@pytest.mark.parametrize("length", [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, 3 * MAX_LINE])
def test_long_lines(path: Path, length: int) -> None:
    data = b"a\n" + b"x" * length + b"\nb\n"
    log = JsonLog(str(path))
    log.write(STDOUT, data)
    log.close()
    assert records_of(path) == reference_records(b"stdout", data, ended=True)


def test_attrs_stand_before_the_time(path: Path) -> None:
    log = JsonLog(str(path), attrs=b'{"k":"v"}')
    log.write(STDOUT, b"x\n" + b"y" * MAX_LINE)
    log.flush()
    assert records_of(path)[0] == b'{"log":"x\\n","stream":"stdout","attrs":{"k":"v"},"time":""}'
    assert all(json.loads(record)["attrs"] == {"k": "v"} for record in records_of(path))


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, b"1970-01-01T00:00:00Z"),
        (1_700_000_000_000_000_000, b"2023-11-14T22:13:20Z"),
        (1_700_000_000_120_000_000, b"2023-11-14T22:13:20.12Z"),
        (1_700_000_000_000_000_001, b"2023-11-14T22:13:20.000000001Z"),
    ],
)
def test_timestamp(ns: int, text: bytes) -> None:
    assert timestamp(ns) == text


def test_rotation_keeps_records_whole_and_in_order(path: Path) -> None:
    log = JsonLog(str(path), max_size=1000, max_files=3)
    for number in range(0, 200, 10):
        log.write(STDOUT, b"".join(b"line %d\n" % line for line in range(number, number + 10)))
    log.close()
    assert sorted(file.name for file in path.parent.iterdir()) == [
        path.name,
        f"{path.name}.1",
        f"{path.name}.2",
    ]
    files = [path.with_name(f"{path.name}.2"), path.with_name(f"{path.name}.1"), path]
    lines = [json.loads(record)["log"] for file in files for record in records_of(file)]
    assert lines == [f"line {number}\n" for number in range(200 - len(lines), 200)]
    for file in files[:2]:  # a file is left once it has reached its size, not before
        size = file.stat().st_size
        assert 1000 <= size < 1000 + 100


def test_one_file_is_truncated(path: Path) -> None:
    log = JsonLog(str(path), max_size=500, max_files=1)
    inode = path.stat().st_ino
    for number in range(100):
        log.write(STDOUT, b"line %d\n" % number)
    log.close()
    assert path.stat().st_ino == inode
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert json.loads(records_of(path)[-1])["log"] == "line 99\n"
    assert path.stat().st_size < 700


def test_goes_on_where_an_earlier_writer_ended(path: Path) -> None:
    for number in range(2):
        log = JsonLog(str(path), max_size=10_000, max_files=2)
        log.write(STDOUT, b"line %d\n" % number)
        log.close()
    assert len(records_of(path)) == 2


def test_truncated_by_somebody_else(path: Path) -> None:
    log = JsonLog(str(path), max_size=1000, max_files=2)
    log.write(STDOUT, b"x" * 900 + b"\n")
    os.truncate(path, 0)
    log.write(STDOUT, b"y\n")
    log.write(STDOUT, b"z\n")
    log.close()
    assert not path.with_name(f"{path.name}.1").exists()
    assert [json.loads(record)["log"] for record in records_of(path)] == ["y\n", "z\n"]


def test_rotation_that_fails_does_not_stop_the_log(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = JsonLog(str(path), max_size=200, max_files=2)

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.rename", refuse)
    for number in range(20):
        log.write(STDOUT, b"line %d\n" % number)
    log.close()
    assert len(records_of(path)) == 20


def test_deleted_log_is_made_again_by_the_next_rotation(path: Path) -> None:
    log = JsonLog(str(path), max_size=200, max_files=2)
    log.write(STDOUT, b"a\n")
    path.unlink()
    for number in range(20):
        log.write(STDOUT, b"line %d\n" % number)
    log.close()
    assert path.exists()


@pytest.mark.root
def test_full_disk_leaves_no_torn_record(tmp_path: Path) -> None:
    """On a real, tiny filesystem: what fits is whole, and logging goes on once there is room."""
    import subprocess

    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)], check=True)
    try:
        filler = mount / "filler"
        filler.write_bytes(b"x" * 20_000)
        path = mount / "log"
        log = JsonLog(str(path))
        for number in range(3000):
            log.write(STDOUT, b"line %d\n" % number)
        held = records_of(path)
        assert [json.loads(record)["log"] for record in held] == [f"line {n}\n" for n in range(len(held))]
        assert 0 < len(held) < 3000
        filler.unlink()
        log.write(STDOUT, b"again\n")
        log.close()
        assert json.loads(records_of(path)[-1])["log"] == "again\n"
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_short_writes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = JsonLog(str(path))
    write = os.write
    monkeypatch.setattr("os.write", lambda fd, data: write(fd, bytes(data)[:7]))
    log.write(STDOUT, b"one\ntwo\n")
    monkeypatch.undo()
    log.close()
    assert [json.loads(record)["log"] for record in records_of(path)] == ["one\n", "two\n"]


def test_torn_record_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = JsonLog(str(path))
    log.write(STDOUT, b"first\n")
    write = os.write
    calls = iter([70, 5])

    def fail(fd: int, data: bytes) -> int:
        size = next(calls, 0)
        if not size:
            raise OSError(errno.ENOSPC, "full")
        return write(fd, bytes(data)[:size])

    monkeypatch.setattr("os.write", fail)
    log.write(STDOUT, b"two\nthree\n")
    monkeypatch.undo()
    log.write(STDOUT, b"last\n")
    log.close()
    assert [json.loads(record)["log"] for record in records_of(path)] == ["first\n", "two\n", "last\n"]


def test_log_file_is_private(path: Path) -> None:
    old = os.umask(0o022)
    try:
        JsonLog(str(path)).close()
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o640


def test_compressed_files_shift_with_the_others(path: Path) -> None:
    log = JsonLog(str(path), max_size=1, max_files=3)
    log.write(STDOUT, b"1\n")
    log.write(STDOUT, b"2\n")
    os.rename(f"{path}.1", f"{path}.1.gz")  # as the daemon does it
    log.write(STDOUT, b"3\n")
    assert sorted(each.name for each in path.parent.iterdir()) == [
        path.name,
        f"{path.name}.1",
        f"{path.name}.2.gz",
    ]
    log.write(STDOUT, b"4\n")
    assert sorted(each.name for each in path.parent.iterdir()) == [
        path.name,
        f"{path.name}.1",
        f"{path.name}.2",
    ]
    assert b'"2\\n"' in Path(f"{path}.2").read_bytes()


def test_a_numbered_log_tells_what_came_before_each_file(path: Path) -> None:
    log = JsonLog(str(path), max_size=200, max_files=2, numbered=True)
    for number in range(20):
        log.write(STDOUT, b"%d\n" % number)
    told = {
        int(line.split()[0]): int(line.split()[1]) for line in Path(f"{path}.index").read_text().splitlines()
    }
    for file in (path, Path(f"{path}.1")):
        first = json.loads(file.read_text().splitlines()[0])["log"]
        assert told[file.stat().st_ino] == int(first)


def test_rotation_waits_while_the_daemon_puts_a_file_in_place(path: Path) -> None:
    log = JsonLog(str(path), max_size=1, max_files=2)
    log.write(STDOUT, b"1\n")
    lock = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    log.write(STDOUT, b"2\n")
    assert len(path.read_bytes().splitlines()) == 2
    os.close(lock)
    log.write(STDOUT, b"3\n")
    assert len(path.read_bytes().splitlines()) == 1
