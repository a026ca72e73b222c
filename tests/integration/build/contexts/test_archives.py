"""Contexts that come as archives, and from URLs."""

import asyncio
import bz2
import gzip
import io
import lzma
import os
import tarfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import zstandard

from engine.build import leftovers
from engine.build.contexts.contexts import Contexts, hide
from errdefs import InvalidArgument, NotFound

pytestmark = pytest.mark.root
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
}


def archive(**contents: bytes) -> bytes:
    """An archive of files of user 1000, whose names have "/" for "__"."""
    with io.BytesIO() as made:
        with tarfile.open(fileobj=made, mode="w") as tar:
            for name, content in contents.items():
                entry = tarfile.TarInfo(name.replace("__", "/"))
                entry.size, entry.uid, entry.gid, entry.mtime = len(content), 1000, 1000, 10**9
                tar.addfile(entry, io.BytesIO(content))
        return made.getvalue()


async def chunks(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


@pytest.mark.parametrize("compression", COMPRESSIONS)
async def test_an_archive_in_any_compression(contexts: Contexts, compression: str) -> None:
    data = COMPRESSIONS[compression](archive(Dockerfile=b"FROM scratch", a__b=b"x" * 10_000))
    async with contexts.from_tar(chunks(data)) as directory:
        assert (directory / "Dockerfile").read_text() == "FROM scratch"
        found = (directory / "a/b").stat()
        assert (found.st_uid, found.st_size, found.st_mtime) == (0, 10_000, 10**9)
        assert directory.stat().st_mode & 0o777 == 0o755
        assert directory.parent.stat().st_mode & 0o777 == 0o700
    assert not directory.exists()


async def test_an_archive_that_ends_with_its_last_file(contexts: Contexts) -> None:
    """The docker CLI sends such ones for `-f` outside of the context: neither padding nor an end."""
    data = archive(Dockerfile=b"FROM scratch")
    async with contexts.from_tar(chunks(data[: 512 + len(b"FROM scratch")])) as directory:
        assert (directory / "Dockerfile").read_text() == "FROM scratch"
    with pytest.raises(InvalidArgument, match="truncated"):
        async with contexts.from_tar(chunks(data[: 512 + 5])):
            pass


BROKEN = {
    "no archive": b"no archive" * 1000,
    "cut off": gzip.compress(archive(a=os.urandom(100_000)))[:50_000],
    "damaged": gzip.compress(archive(a=os.urandom(100_000)))[:50_000] + b"\0" * 50_000,
    "outside": archive(**{"..__out": b"x"}),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_or_hostile_archive_is_refused(contexts: Contexts, tmp_path: Path, case: str) -> None:
    with pytest.raises(InvalidArgument):
        async with contexts.from_tar(chunks(BROKEN[case])):
            pass
    assert not (tmp_path / "contexts/out").exists()


async def test_who_stops_sending_leaves_nothing(contexts: Contexts) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield archive(a=b"x" * 100_000)[:5000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        async with contexts.from_tar(stalled()):
            pass
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), contexts.from_tar(endless()):
            pass


async def endless() -> AsyncIterator[bytes]:
    yield archive(a=b"x")[:600]
    await asyncio.sleep(60)


async def test_a_large_context_takes_little_time_of_the_processor_and_no_memory(contexts: Contexts) -> None:
    piece = os.urandom(1 << 20)
    head = tarfile.TarInfo("large")
    head.size = 200 << 20

    async def large() -> AsyncIterator[bytes]:
        yield head.tobuf()
        for _ in range(200):
            yield piece
        yield bytes(1024)

    began, before = time.process_time(), _memory()
    async with contexts.from_tar(large()) as directory:
        took = time.process_time() - began
        assert (directory / "large").stat().st_size == 200 << 20
    assert _memory() - before < 32 << 20
    assert took < 5


def _memory() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) << 10


async def test_what_is_left_is_swept(tmp_path: Path) -> None:
    (tmp_path / "contexts/left/deep").mkdir(parents=True)
    await leftovers.sweep_contexts(tmp_path / "contexts")
    assert not (tmp_path / "contexts").exists()


@pytest.mark.parametrize(
    ("ignore", "left"),
    [
        ("Dockerfile\n.dockerignore\n", ["f"]),
        ("*", ["f"]),
        ("f\n", [".dockerignore", "Dockerfile", "f"]),
        ("*\n!Dockerfile", ["Dockerfile", "f"]),
    ],
)
async def test_the_dockerfile_hides_where_it_is_ignored(
    contexts: Contexts, ignore: str, left: list[str]
) -> None:
    data = archive(Dockerfile=b"", f=b"", **{".dockerignore": ignore.encode()})
    async with contexts.from_tar(chunks(data)) as directory:
        await hide(directory, "Dockerfile")
        assert sorted(os.listdir(directory)) == left


async def test_a_context_from_a_url(contexts: Contexts, web: tuple[str, Path]) -> None:
    url, files = web
    (files / "c.tar.gz").write_bytes(gzip.compress(archive(Dockerfile=b"FROM scratch", a__b=b"b")))
    (files / "f").write_text("FROM busybox\n")
    async with contexts.from_remote(f"{url}/c.tar.gz", None) as fetched:
        assert fetched.dockerfile is None
        assert (fetched.directory / "a/b").read_text() == "b"
    for path in ("f", "moved"):
        async with contexts.from_remote(f"{url}/{path}", None) as fetched:
            assert fetched.dockerfile == b"FROM busybox\n"
            assert os.listdir(fetched.directory) == []
    with pytest.raises(NotFound):
        async with contexts.from_remote(f"{url}/none", None):
            pass
