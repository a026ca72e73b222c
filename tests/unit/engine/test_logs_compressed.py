"""Logs whose rotated files are compressed, before they are read and while they are."""

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.logs import rotated
from engine.logs.files import LogFiles
from engine.logs.record import decode
from runtime.shim.jsonlog import JsonLog


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def written(log: Path, *, first: int = 0, last: int = 40, files: int = 5) -> JsonLog:
    """About ten records a file."""
    writer = JsonLog(str(log), max_size=700, max_files=files)
    for number in range(first, last):
        writer.write(1, b"%d\n" % number)
    return writer


def lines(files: LogFiles) -> Iterator[int]:
    while block := files.read(last=True):
        yield from (int(record.log) for record in decode(block))


def everything(log: Path, tail: int | None = None) -> list[int]:
    files = LogFiles(str(log))
    assert files.open(tail, follow=False)
    try:
        return list(lines(files))
    finally:
        files.close()


def test_compressed_files_are_gzip_and_read_as_before(log: Path) -> None:
    written(log)
    before = everything(log)
    plain = Path(f"{log}.1").read_bytes()
    assert rotated.compress(str(log))
    assert gzip.decompress(Path(f"{log}.1.gz").read_bytes()) == plain
    assert not Path(f"{log}.1").exists()
    assert everything(log) == before == list(range(40))
    assert [everything(log, tail) for tail in (0, 3, 15, 25)] == [
        list(range(40 - tail, 40)) for tail in (0, 3, 15, 25)
    ]


def test_a_follower_goes_on_when_its_file_is_compressed(log: Path) -> None:
    writer = written(log)
    files = LogFiles(str(log))
    files.open(None, follow=True)
    seen = [int(record.log) for record in decode(files.read())]  # now in the oldest
    rotated.compress(str(log))
    for number in range(40, 50):
        writer.write(1, b"%d\n" % number)
    rotated.compress(str(log))
    assert seen + list(lines(files)) == list(range(50))
    files.close()


def test_a_reader_that_does_not_follow_ends_where_the_log_ended(log: Path) -> None:
    writer = written(log, last=23)
    files = LogFiles(str(log))
    files.open(None, follow=False)
    for number in range(23, 40):
        writer.write(1, b"%d\n" % number)
        rotated.compress(str(log))
    assert list(lines(files)) == list(range(23))
    files.close()


def test_a_place_is_found_again_in_the_compressed_file(log: Path) -> None:
    writer = written(log, last=15)
    files = LogFiles(str(log))
    files.open(None, follow=True)
    seen = [int(record.log) for record in decode(files.read())]
    place = files.place
    files.close()
    for number in range(15, 40):
        writer.write(1, b"%d\n" % number)
    rotated.compress(str(log))
    again = LogFiles(str(log))
    assert again.resume(place)
    assert seen + list(lines(again)) == list(range(40))
    again.close()


def test_a_place_that_is_gone_is_not_found(log: Path) -> None:
    written(log, last=15)
    files = LogFiles(str(log))
    files.open(None, follow=True)
    files.read()
    place = files.place
    files.close()
    written(log, first=15, last=90, files=2)
    assert not LogFiles(str(log)).resume(place)


def test_what_a_killed_daemon_left_is_cleared_up(log: Path) -> None:
    written(log)
    Path(f"{log}.compressing").write_bytes(b"half")
    Path(f"{log}.2.gz").write_bytes(b"half")
    assert everything(log) == list(range(40))
    assert rotated.compress(str(log))
    assert everything(log) == list(range(40))
    assert not [name for name in os.listdir(log.parent) if name.endswith("compressing")]


def test_the_backlog_counts_all_that_follows(log: Path) -> None:
    written(log)
    files = LogFiles(str(log))
    files.open(None, follow=True)
    total = sum(path.stat().st_size for path in log.parent.iterdir())
    assert files.backlog() == total
    block = files.read()
    assert files.backlog() == total - len(block)
    files.close()


def test_a_damaged_file_is_read_up_to_the_damage(log: Path) -> None:
    written(log)
    rotated.compress(str(log))
    damaged = Path(f"{log}.2.gz")
    damaged.write_bytes(damaged.read_bytes()[:80] + b"\xff" * 40)
    seen = everything(log)
    assert seen[-15:] == list(range(25, 40))
    assert len(seen) < 40
