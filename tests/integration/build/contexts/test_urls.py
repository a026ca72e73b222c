"""Files from URLs: fetched once, asked for again by what their server called them."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from engine.build import leftovers
from engine.build.contexts.contexts import Contexts
from engine.build.contexts.url_files import UrlFiles
from engine.build.refs import Tree
from engine.build.solver.records import CacheStore, Record
from engine.build.steps import UrlSource
from errdefs import InvalidArgument, NotFound, SystemFailure, WherryError
from runtime.mount import Mount, attach, unmount
from tests.integration.build.contexts.serving import Server, server

__all__ = ["server"]


@pytest.fixture
def urls(contexts: Contexts) -> UrlFiles:
    """Files of URLs that are kept."""
    return contexts.urls


async def untold(_count: int, _total: int) -> None:
    """Nobody looks."""


@asynccontextmanager
async def fetched(urls: UrlFiles, url: str, checksum: str = "") -> AsyncIterator[Tree]:
    async with AsyncExitStack() as held:
        yield await urls.tree(UrlSource(url=url, checksum=checksum), untold, held)


async def content(urls: UrlFiles, url: str, checksum: str = "") -> bytes:
    async with fetched(urls, url, checksum) as tree:
        (path,) = (await tree.place()).iterdir()
        return path.read_bytes()


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def left(tmp_path: Path) -> list[str]:
    return os.listdir(tmp_path / "cache")


async def again(cache: CacheStore, path: Path) -> list[Record]:
    """What a daemon that starts now knows."""
    started = CacheStore(cache._database)
    await started.load()
    await leftovers.sweep_caches(started, path)
    return started.all()


async def test_a_file_from_a_url(urls: UrlFiles, server: Server) -> None:
    checksum = sha256(server.content)
    async with fetched(urls, f"{server.url}/a/f?x=y", checksum) as tree:
        directory = await tree.place()
        assert os.listdir(directory) == ["f"]
        found = (directory / "f").stat()
        assert (found.st_mode & 0o7777, found.st_uid, found.st_mtime) == (0o600, 0, 10**9)
    async with fetched(urls, server.url) as tree:
        assert os.listdir(await tree.place()) == ["__unnamed__"]
    with pytest.raises(InvalidArgument, match="invalid checksum digest"):
        await content(urls, f"{server.url}/f", "md5:1")
    with pytest.raises(WherryError):
        await content(urls, "http://127.0.0.1:1/f")
    with pytest.raises(NotFound, match="invalid response status 404"):
        await content(urls, f"{server.url}/none")


async def test_what_has_not_changed_is_not_sent_again(
    urls: UrlFiles, server: Server, cache: CacheStore, tmp_path: Path
) -> None:
    async with fetched(urls, f"{server.url}/f") as first:
        assert isinstance(first.path, Path)
    assert server.since() == [("GET", "")]
    (record,) = cache.all()
    assert (record.kind, record.description, record.size) == ("regular", f"http url {server.url}/f", 7)
    async with fetched(urls, f"{server.url}/f") as second:
        assert not isinstance(second.path, Path)
        assert (await second.place(), second.content) == (first.path, first.content)
        assert cache.in_use(record.id)
    assert server.since() == [("HEAD", '"one"')]
    assert not cache.in_use(record.id)
    assert [each.id for each in await again(cache, tmp_path / "cache")] == [record.id]
    server.content, server.etag = b"other", 'W/"two"'
    assert await content(urls, f"{server.url}/f") == b"other"
    assert server.since() == [("HEAD", '"one"'), ("GET", '"one"')]
    server.content, server.etag = b"content", '"one"'  # as it was before
    assert await content(urls, f"{server.url}/f") == b"content"
    assert server.since() == [("HEAD", '"one", "two"')]
    assert len(cache.all()) == len(left(tmp_path)) == 2


@pytest.mark.parametrize("etag", ["*", '"\udcff"'])
async def test_names_that_cannot_be_asked_for(urls: UrlFiles, server: Server, etag: str) -> None:
    server.etag, server.heeds = etag.encode(errors="surrogateescape").decode("latin-1"), False
    for _ in range(2):
        assert await content(urls, f"{server.url}/f") == b"content"
        assert server.since() == [("GET", "")]


@pytest.mark.parametrize("names", [True, False])
async def test_servers_that_know_no_head(urls: UrlFiles, server: Server, names: bool) -> None:
    server.heads, server.names = False, names
    for expected in ([("GET", "")], [("HEAD", '"one"'), ("GET", '"one"')]):
        assert await content(urls, f"{server.url}/f") == b"content"
        assert server.since() == expected


async def test_servers_that_give_names_and_do_not_heed_them(urls: UrlFiles, server: Server) -> None:
    server.heeds = False
    for expected in ([("GET", "")], [("HEAD", '"one"')]):
        assert await content(urls, f"{server.url}/f") == b"content"
        assert server.since() == expected


async def test_servers_that_give_no_names(
    urls: UrlFiles, server: Server, cache: CacheStore, tmp_path: Path
) -> None:
    """It is sent each time; what is the same is kept once, and gets a name when there is one."""
    server.etag = ""
    for _ in range(2):
        assert await content(urls, f"{server.url}/f") == b"content"
        assert server.since() == [("GET", "")]
        assert len(cache.all()) == len(left(tmp_path)) == 1
    server.etag = '"late"'
    assert await content(urls, f"{server.url}/f") == b"content"
    assert len(cache.all()) == len(left(tmp_path)) == 1
    server.since()
    assert await content(urls, f"{server.url}/f") == b"content"
    assert server.since() == [("HEAD", '"late"')]


async def test_a_304_that_means_nothing(urls: UrlFiles, server: Server) -> None:
    assert await content(urls, f"{server.url}/f")
    server.content, server.etag, server.heads = b"two", '"two"', False
    assert await content(urls, f"{server.url}/f") == b"two"
    server.names = False
    with pytest.raises(SystemFailure, match="invalid not-modified ETag"):
        await content(urls, f"{server.url}/f")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_what_has_the_checksum_is_not_asked_for(urls: UrlFiles, server: Server, algorithm: str) -> None:
    checksum = f"{algorithm}:{hashlib.new(algorithm, server.content).hexdigest()}"
    assert await content(urls, f"{server.url}/f", checksum) == b"content"
    server.since()
    assert await content(urls, f"{server.url}/f", checksum) == b"content"
    assert server.since() == []
    if algorithm == "sha256":  # of another URL, too, if the file is called the same
        assert await content(urls, f"{server.url}/elsewhere/f", checksum) == b"content"
        assert server.since() == []
    assert await content(urls, f"{server.url}/g", checksum) == b"content"
    assert server.since() == [("GET", "")]


async def test_what_has_another_checksum(urls: UrlFiles, server: Server, tmp_path: Path) -> None:
    for _ in range(2):  # of what is sent, and of what is here
        with pytest.raises(InvalidArgument) as error:
            await content(urls, f"{server.url}/f", sha256(b"other"))
        assert error.value.message == (
            f"digest mismatch for {server.url}/f: {sha256(b'content')} (expected: {sha256(b'other')})"
        )
    assert server.since() == [("GET", ""), ("HEAD", '"one"')]
    assert len(left(tmp_path)) == 1


async def test_who_goes_leaves_nothing(
    urls: UrlFiles, server: Server, cache: CacheStore, tmp_path: Path
) -> None:
    server.going.clear()
    coming = asyncio.Event()

    async def tell(_count: int, _total: int) -> None:
        coming.set()

    async def leaving() -> None:
        async with AsyncExitStack() as held:
            await urls.tree(UrlSource(url=f"{server.url}/f"), tell, held)

    async with asyncio.TaskGroup() as tasks:
        going = tasks.create_task(leaving())
        await coming.wait()
        waiting = tasks.create_task(content(urls, f"{server.url}/f"))
        (half,) = left(tmp_path)
        going.cancel()
        await asyncio.wait([going])
        assert half not in left(tmp_path)
        server.going.set()
    assert waiting.result() == b"content"  # who waited for it fetches it
    assert len(cache.all()) == len(left(tmp_path)) == 1


async def test_two_at_once_fetch_it_once(urls: UrlFiles, server: Server, tmp_path: Path) -> None:
    found = await asyncio.gather(*(content(urls, f"{server.url}/f") for _ in range(3)))
    assert found == [b"content"] * 3
    assert [method for method, _ in server.since()] == ["GET", "HEAD", "HEAD"]
    assert len(left(tmp_path)) == 1


async def test_what_was_pruned_goes_with_its_last_build(
    urls: UrlFiles, server: Server, cache: CacheStore, tmp_path: Path
) -> None:
    async with fetched(urls, f"{server.url}/f") as tree:
        (record,) = cache.all()
        await cache.remove([record.id])
        assert await content(urls, f"{server.url}/f") == b"content"
        assert os.listdir(await tree.place()) == ["f"]
    assert len(cache.all()) == len(left(tmp_path)) == 1
    assert server.since() == [("GET", ""), ("GET", "")]


async def test_what_is_not_whole_any_more_is_fetched_again(
    urls: UrlFiles, server: Server, cache: CacheStore, tmp_path: Path
) -> None:
    assert await content(urls, f"{server.url}/f")
    (record,) = cache.all()
    (tmp_path / "cache" / record.directory / "f").write_bytes(b"cut")
    assert await content(urls, f"{server.url}/f") == b"content"
    assert server.since() == [("GET", ""), ("GET", "")]
    assert [each.directory for each in cache.all()] == left(tmp_path) != [record.directory]


async def test_it_is_told_how_it_goes(urls: UrlFiles, server: Server) -> None:
    told: list[tuple[int, int]] = []

    async def tell(count: int, total: int) -> None:
        told.append((count, total))

    server.content = b"x" * (1 << 20)
    async with AsyncExitStack() as held:
        await urls.tree(UrlSource(url=f"{server.url}/f"), tell, held)
        assert told[-1] == (1 << 20, 1 << 20)
        assert told[0][0] < 1 << 20
        told.clear()
        await urls.tree(UrlSource(url=f"{server.url}/f"), tell, held)
        assert told == []


async def test_passwords_are_not_told(urls: UrlFiles, server: Server, cache: CacheStore) -> None:
    url = server.url.replace("//", "//user:secret@")
    assert await content(urls, f"{url}/f") == b"content"
    assert await content(urls, f"{server.url}/f") == b"content"  # without it that may be another file
    assert [method for method, _ in server.since()] == ["GET", "GET"]
    assert all(b"secret" not in msgspec.json.encode(each) for each in cache.all())


@pytest.mark.root
async def test_a_file_that_the_disk_has_no_room_for(
    urls: UrlFiles, server: Server, cache: CacheStore, tmp_path: Path
) -> None:
    """It is told before anything is fetched, or, where the server does not say how much there is, as it happens."""
    server.content = b"x" * (4 << 20)
    place = tmp_path / "cache"
    attach([Mount(type="tmpfs", source="tmpfs", options=("size=1m",))], place)
    try:
        for sized, message in (
            (True, "has 4194304 bytes, and the disk has room for"),
            (False, "No space left"),
        ):
            server.sized = sized
            with pytest.raises(SystemFailure, match=message):
                await content(urls, f"{server.url}/f")
        assert left(tmp_path) == []
        assert cache.all() == []
    finally:
        unmount(place)
