"""Small files of an archive, which two processes make: all as if one had made them in order."""

import io
import os
import signal
import socket
import stat
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from errdefs import WherryError
from runtime.archive.writing import extract
from runtime.layers.limits import DEFAULT
from tests.integration.hostile.test_b12_workers import children

COUNT = 600  # many batches
BLOCK = 512


def entry(name: str, **facts: object) -> tarfile.TarInfo:
    """A header; a file of 500 bytes if nothing else is said."""
    made = tarfile.TarInfo(name)
    made.size, made.mtime = 500, 1_000_000_000
    for fact, value in facts.items():
        setattr(made, fact, value)
    if made.type != tarfile.REGTYPE:
        made.size = 0
    return made


def directory(name: str) -> tarfile.TarInfo:
    """That of a directory."""
    return entry(name, type=tarfile.DIRTYPE, mode=0o750)


def content(name: str, size: int = 500) -> bytes:
    """What is in the file of that name."""
    return (name.encode() * size)[:size]


def packed(entries: list[tarfile.TarInfo]) -> bytes:
    """The archive."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for each in entries:
            archive.addfile(each, io.BytesIO(content(each.name, each.size)))
    return made.getvalue()


def files(first: int = 0) -> list[tarfile.TarInfo]:
    """Many small ones in the directory d."""
    return [entry(f"d/{number}", mode=0o600 + number % 64) for number in range(first, COUNT)]


@pytest.fixture
def unpack(tmp_path: Path) -> Callable[..., str]:
    """Unpack an archive below the test's directory by a process of its own: what it failed with, "" for not."""

    def unpacked(archive: bytes, meanwhile: Callable[[int], None] | None = None) -> str:
        ours, its = socket.socketpair()
        words, saying = os.pipe()
        if (pid := os.fork()) == 0:
            ours.close()
            _be_worker(tmp_path, its.fileno(), saying)
        its.close()
        os.close(saying)
        if meanwhile:
            ours.sendall(archive[: len(archive) // 2])
            meanwhile(pid)
            archive = archive[len(archive) // 2 :]
        with ours:
            try:
                ours.sendall(archive)
                ours.shutdown(socket.SHUT_WR)
            except BrokenPipeError:
                pass  # it has failed
        with open(words, "rb") as said:
            told = said.read().decode()
        os.waitpid(pid, 0)
        return told

    return unpacked


def _be_worker(directory: Path, stream: int, saying: int) -> None:
    try:
        os.chdir(directory)
        os.umask(0)
        extract(stream, DEFAULT, owner=None, keep_kinds=True, may_fork=True)
    except WherryError as error:
        os.write(saying, f"{type(error).__name__}: {error.message}".encode())
    finally:
        os._exit(0)


def test_all_is_as_the_archive_says(tmp_path: Path, unpack: Callable[..., str]) -> None:
    link = entry("d/link", type=tarfile.LNKTYPE, linkname="d/599", mode=0o600 + 599 % 64)
    deep = [directory("d/sub"), entry("d/sub/x"), entry("d/large", size=100_000), entry("d/none", size=0)]
    assert unpack(packed([directory("d"), *files(), link, *deep])) == ""
    for number in range(COUNT):
        file = tmp_path / "d" / str(number)
        found = file.stat()
        assert file.read_bytes() == content(f"d/{number}")
        assert (stat.S_IMODE(found.st_mode), found.st_mtime) == (0o600 + number % 64, 1_000_000_000)
    assert (tmp_path / "d/link").stat().st_ino == (tmp_path / "d/599").stat().st_ino
    assert (tmp_path / "d/none").stat().st_size == 0
    for each in ("d", "d/sub"):
        assert (tmp_path / each).stat().st_mtime == 1_000_000_000
        assert stat.S_IMODE((tmp_path / each).stat().st_mode) == 0o750


def test_directories_that_are_not_told_of(tmp_path: Path, unpack: Callable[..., str]) -> None:
    assert unpack(packed([entry(f"a/b{number % 3}/{number}") for number in range(COUNT)])) == ""
    assert len(list(tmp_path.glob("a/b?/*"))) == COUNT


def test_long_names(tmp_path: Path, unpack: Callable[..., str]) -> None:
    """A batch is no larger than what a socket takes at once."""
    deep = "/".join(n * 250 for n in "abcdefghijklmn")
    names = [f"{deep}/{number}" for number in range(COUNT)]
    assert unpack(packed([entry(name, size=0) for name in names])) == ""
    assert len(os.listdir(tmp_path / deep)) == COUNT


def test_the_last_of_one_name_counts(tmp_path: Path, unpack: Callable[..., str]) -> None:
    again = [entry("d/7", mode=0o444), entry("d/sub/8", mode=0o444), entry("d/sub/8", mode=0o400)]
    assert unpack(packed([directory("d"), *files(), *again])) == ""
    assert stat.S_IMODE((tmp_path / "d/7").stat().st_mode) == 0o444
    assert stat.S_IMODE((tmp_path / "d/sub/8").stat().st_mode) == 0o400


def test_what_was_there_is_replaced(tmp_path: Path, unpack: Callable[..., str]) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/5").write_text("old")
    (tmp_path / "d/6").symlink_to("5")
    assert unpack(packed([directory("d"), *files()])) == ""
    assert {(tmp_path / "d" / name).read_bytes() for name in "56"} == {content("d/5"), content("d/6")}
    assert not (tmp_path / "d/6").is_symlink()


def test_a_file_of_the_archive_is_no_directory(unpack: Callable[..., str]) -> None:
    told = unpack(packed([directory("d"), *files(), entry("d/5/x")]))
    assert told == "InvalidArgument: archive entry 'd/5/x': Not a directory"
    told = unpack(packed([directory("e"), entry("e/5"), directory("e/5")]))
    assert told.startswith('InvalidArgument: cannot overwrite non-directory "')


@pytest.mark.parametrize("later", ["nothing", "truncation", "refusal", "own"])
def test_the_first_failure_is_told(tmp_path: Path, unpack: Callable[..., str], later: str) -> None:
    """Whichever process meets it: batches go to both."""
    wrong = "d/" + 300 * "n"
    after = {"refusal": [entry("../x")], "own": [entry("d/" + 300 * "m")]}.get(later, [])
    for at in (0, 30, 100, 250, 500):
        archive = packed([directory("d"), *files()[:at], entry(wrong), *files(at), *after])
        told = unpack(archive[: -40 * BLOCK] if later == "truncation" else archive)
        assert told.startswith("InvalidArgument: archive entry 'd/nnn"), told
        assert told.endswith("File name too long")
        assert {f"{number}" for number in range(at)} <= set(os.listdir(tmp_path / "d"))


def test_what_came_before_the_end_of_a_cut_archive_stays(tmp_path: Path, unpack: Callable[..., str]) -> None:
    archive = packed([directory("d"), *files()])
    whole = BLOCK + 200 * 2 * BLOCK  # the directory, and so many files with their headers
    assert unpack(archive[: whole + BLOCK]) == "InvalidArgument: the archive is truncated"
    assert set(os.listdir(tmp_path / "d")) == {str(number) for number in range(200)}


def test_a_twin_that_is_killed_is_missed(unpack: Callable[..., str]) -> None:
    def kill(worker: int) -> None:
        deadline = time.monotonic() + 10
        while not (twins := children(worker)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(twins[0], signal.SIGKILL)

    told = unpack(packed([directory("d"), *files()]), kill)
    assert told == "SystemFailure: a process that copies was killed"
