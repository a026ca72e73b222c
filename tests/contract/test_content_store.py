"""What every content store must do."""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from errdefs import Conflict, InvalidArgument, NotFound, SystemFailure
from runtime.content.local import LocalContentStore
from runtime.content.store import ContentStore, Descriptor
from runtime.mount import Mount, attach, unmount

Open = Callable[[], Awaitable[ContentStore]]
HELLO = "sha256:" + hashlib.sha256(b"hello").hexdigest()
OTHER = "sha256:" + hashlib.sha256(b"other").hexdigest()


@pytest.fixture(params=[LocalContentStore])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    return lambda: request.param.open(tmp_path / "content")


async def test_a_blob_is_there_after_its_commit_and_not_before(reopen: Open) -> None:
    store = await reopen()
    async with await store.ingest("a") as ingest:
        await ingest.write(b"hel")
        await ingest.write(b"lo")
        assert not await store.exists(HELLO)
        assert list(await store.walk()) == []
        assert await ingest.commit(expected_digest=HELLO, expected_size=5) == Descriptor(digest=HELLO, size=5)
    assert await store.read(HELLO) == b"hello"
    assert await store.size(HELLO) == 5
    assert await store.missing([HELLO, OTHER]) == {OTHER}
    assert await store.missing([]) == set()
    assert store.path(HELLO).read_bytes() == b"hello"
    assert await (await reopen()).walk() == {HELLO: 5}


async def test_what_was_not_promised_is_refused_and_leaves_nothing(reopen: Open, tmp_path: Path) -> None:
    store = await reopen()
    wrong = "sha256:" + "0" * 64
    promises: list[tuple[str | None, int | None]] = [(wrong, 5), (HELLO, 6), (None, 4), ("sha256:12", None)]
    for digest, size in promises:
        with pytest.raises(InvalidArgument):
            await write_hello(store, digest, size)
    assert list(await store.walk()) == []
    assert not [name for _, _, files in os.walk(tmp_path) for name in files]


async def write_hello(store: ContentStore, digest: str | None, size: int | None) -> None:
    async with await store.ingest("a") as ingest:
        await ingest.write(b"hello")
        await ingest.commit(expected_digest=digest, expected_size=size)


async def test_a_writer_that_is_cancelled_leaves_nothing(reopen: Open, tmp_path: Path) -> None:
    store = await reopen()

    async def write() -> None:
        async with await store.ingest("a") as ingest:
            while True:
                await ingest.write(b"x" * (1 << 20))

    for delay in (0, 0.002, 0.02):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(write(), delay)
        while True:  # the thread at work is let finish, then the ref is free
            try:
                await (await store.ingest("a")).abort()
                break
            except Conflict:
                await asyncio.sleep(0.005)
    assert not [name for _, _, files in os.walk(tmp_path) for name in files]


async def test_a_ref_has_one_writer_and_is_free_after_it(reopen: Open) -> None:
    store = await reopen()
    first = await store.ingest("a")
    with pytest.raises(Conflict):
        await store.ingest("a")
    await first.abort()
    await first.abort()
    async with await store.ingest("a") as ingest:
        await ingest.commit()
    await (await store.ingest("a")).abort()


async def test_the_same_bytes_twice_are_one_blob(reopen: Open) -> None:
    store = await reopen()
    assert await asyncio.gather(*(store.put(b"hello") for _ in range(4))) == [HELLO] * 4
    assert list(await store.walk()) == [HELLO]


async def test_many_chunks_larger_than_any_buffer(reopen: Open) -> None:
    store = await reopen()
    chunk = os.urandom(700_001)
    async with await store.ingest("big") as ingest:
        for _ in range(7):
            await ingest.write(chunk)
        found = await ingest.commit(expected_digest="sha256:" + hashlib.sha256(chunk * 7).hexdigest())
    assert found.size == 7 * 700_001
    with pytest.raises(InvalidArgument, match="more than"):
        await store.read(found.digest, limit=1 << 20)


async def test_unfinished_ingests_are_gone_after_a_crash(reopen: Open, tmp_path: Path) -> None:
    store = await reopen()
    ingest = await store.ingest("a")
    await ingest.write(b"x" * (2 << 20))
    again = await reopen()
    assert list(await again.walk()) == []
    assert not [name for _, _, files in os.walk(tmp_path) for name in files]
    await ingest.abort()


async def test_a_resumable_write_goes_on_where_it_ended(reopen: Open) -> None:
    store = await reopen()
    async with await store.resume(HELLO, 5) as ingest:
        assert ingest.offset == 0
        await ingest.write(b"he")
        with pytest.raises(Conflict):
            await store.resume(HELLO, 5)
    assert list(await store.walk()) == []
    async with await store.resume(HELLO, 5) as ingest:
        assert ingest.offset == 2
        await ingest.write(b"llo")
        assert await ingest.commit() == Descriptor(digest=HELLO, size=5)
    await ingest.suspend()
    await ingest.abort()
    assert await store.read(HELLO) == b"hello"


async def test_a_resumable_write_goes_on_after_a_crash(reopen: Open) -> None:
    store = await reopen()
    chunk = os.urandom(1 << 20)
    whole = chunk + b"the end"
    digest = "sha256:" + hashlib.sha256(whole).hexdigest()
    killed = await store.resume(digest, len(whole))
    await killed.write(chunk)
    store = await reopen()
    assert list(await store.retained()) == [digest]
    async with await store.resume(digest, len(whole)) as ingest:
        assert ingest.offset == len(chunk)
        await ingest.write(b"the end")
        await ingest.commit()
    store = await reopen()
    assert list(await store.walk()) == list(await store.retained()) == [digest]
    await killed.abort()


async def test_bytes_of_another_blob_are_not_kept(reopen: Open) -> None:
    store = await reopen()
    for wrong in (b"hullo", b"hello!", b"hell"):
        async with await store.resume(HELLO, 5) as ingest:
            assert ingest.offset == 0
            await ingest.write(wrong)
            with pytest.raises(InvalidArgument):
                await ingest.commit()
    async with await store.resume(HELLO, 5) as ingest:
        await ingest.write(b"hello, world")
    async with await store.resume(HELLO, 5) as ingest:
        assert ingest.offset == 0, "there cannot be more than the blob has"
        await ingest.write(b"xx")
        await ingest.restart()
        assert ingest.offset == 0
        await ingest.write(b"hello")
        await ingest.commit()


async def test_what_is_retained_is_released(reopen: Open, tmp_path: Path) -> None:
    store = await reopen()
    async with await store.resume(HELLO, 5) as ingest:
        await ingest.write(b"hello")
        await ingest.commit()
    other = "sha256:" + "0" * 64
    async with await store.resume(other, 2 << 20) as ingest:
        await ingest.write(bytes(1 << 20))
        await store.release(other)
        assert other in await store.retained(), "a writer is at it"
    kept = await store.retained()
    assert sorted(kept) == sorted([HELLO, other])
    assert all(0 <= each.age < 60 for each in kept.values())
    assert kept[other].size == await store.unfinished() == 1 << 20
    assert [await store.release(digest) for digest in (HELLO, other, other)] == [0, 1 << 20, 0]
    assert await store.retained() == {}
    assert list(await store.walk()) == [HELLO]
    assert [name for _, _, files in os.walk(tmp_path) for name in files] == [HELLO[7:]]


async def test_a_resumable_write_that_is_cancelled_is_kept(reopen: Open) -> None:
    store = await reopen()
    digest = "sha256:" + "0" * 64
    written = asyncio.Event()

    async def write() -> None:
        async with await store.resume(digest, 1 << 40) as ingest:
            while True:
                await ingest.write(b"x" * (1 << 20))
                written.set()

    writing = asyncio.get_running_loop().create_task(write())
    await written.wait()
    await asyncio.sleep(0.02)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    async with await store.resume(digest, 1 << 40) as ingest:
        assert ingest.offset >= 1 << 20
        await ingest.abort()
    assert await store.retained() == {}


@pytest.mark.root
async def test_a_full_disk_is_told_and_leaves_nothing(reopen: Open, tmp_path: Path) -> None:
    (tmp_path / "content").mkdir(mode=0o700)
    attach([Mount(type="tmpfs", source="tmpfs", options=("size=2m",))], tmp_path / "content")
    try:
        store = await reopen()
        with pytest.raises(SystemFailure, match="No space left"):
            await store.put(bytes(4 << 20))
        assert await store.put(b"hello") == HELLO
        assert [name for _, _, files in os.walk(tmp_path) for name in files] == [HELLO[7:]]
    finally:
        unmount(tmp_path / "content")


async def test_what_is_not_there_and_what_is_no_digest(reopen: Open) -> None:
    store = await reopen()
    for call in (store.read, store.size, store.delete):
        with pytest.raises(NotFound):
            await call(HELLO)
        for digest in ("", "sha256:", "sha256:../../etc/passwd", HELLO.upper(), HELLO + "\n", "md5:00"):
            with pytest.raises(InvalidArgument):
                await call(digest)
    digest = await store.put(b"hello")
    assert await store.delete(digest) == 5
    assert not await store.exists(digest)


async def test_blobs_are_private_to_root(reopen: Open, tmp_path: Path) -> None:
    store = await reopen()
    digest = await store.put(b"secret")
    assert store.path(digest).stat().st_mode & 0o077 == 0
    assert (tmp_path / "content").stat().st_mode & 0o077 == 0


async def test_bytes_that_are_not_the_blobs(reopen: Open) -> None:
    store = await reopen()
    digest = await store.put(b"hello")
    assert await store.is_sound(digest)
    store.path(digest).write_bytes(b"hullo")
    assert not await store.is_sound(digest)
    with pytest.raises(NotFound):
        await store.is_sound("sha256:" + "0" * 64)


async def test_what_others_put_there_is_left_alone(reopen: Open, tmp_path: Path) -> None:
    await reopen()
    strangers = [
        tmp_path / "content" / directory / name
        for directory in ("ingests", "retained", "blobs/sha256")
        for name in ("README", HELLO[7:] + "x", "a" * 32 if directory != "ingests" else "b")
    ]
    for stranger in strangers:
        stranger.write_text("mine")
    directory = tmp_path / "content" / "blobs" / "sha256" / ("c" * 64)
    directory.mkdir()
    store = await reopen()
    assert (await store.walk(), await store.retained(), await store.unfinished()) == ({}, {}, 0)
    assert all(stranger.exists() for stranger in [*strangers, directory])


async def write_later(store: ContentStore, data: bytes) -> str:
    async with await store.ingest("later") as ingest:
        await ingest.write(data)
        return (await ingest.commit(durable=False)).digest


async def test_a_blob_outlives_the_process_that_did_not_settle_it(reopen: Open, tmp_path: Path) -> None:
    digest = await write_later(await reopen(), b"later")
    again = await reopen()
    assert await again.read(digest) == b"later"
    marks = tmp_path / "content" / "unsettled"
    assert os.listdir(marks) == [digest.removeprefix("sha256:")], "which a crash of the host would undo"
    await again.settle()
    assert os.listdir(marks) == []


@pytest.mark.usefixtures("host_crashes")
async def test_a_blob_that_is_not_settled_is_gone_after_a_crash(reopen: Open) -> None:
    store = await reopen()
    digest = await write_later(store, b"later")
    assert await store.read(digest) == b"later"
    assert await (await reopen()).walk() == {}


@pytest.mark.usefixtures("host_crashes")
async def test_a_blob_that_is_settled_survives(reopen: Open) -> None:
    store = await reopen()
    first = await write_later(store, b"first")
    await store.settle()
    await write_later(store, b"second")
    assert list(await (await reopen()).walk()) == [first]


@pytest.mark.usefixtures("host_crashes")
async def test_a_durable_blob_stays_durable_whoever_writes_it_again(reopen: Open) -> None:
    store = await reopen()
    await store.put(b"hello")
    assert await write_later(store, b"hello") == HELLO
    assert await (await reopen()).walk() == {HELLO: 5}


@pytest.mark.usefixtures("host_crashes")
async def test_a_blob_that_is_written_durably_after_all(reopen: Open) -> None:
    store = await reopen()
    await write_later(store, b"hello")
    await store.put(b"hello")
    assert await (await reopen()).walk() == {HELLO: 5}


@pytest.mark.usefixtures("host_crashes")
async def test_a_blob_that_is_deleted_before_it_is_settled_may_come_again(reopen: Open) -> None:
    store = await reopen()
    await write_later(store, b"hello")
    assert await store.delete(HELLO) == 5
    await store.put(b"hello")
    assert await (await reopen()).walk() == {HELLO: 5}


async def test_another_writes_all_of_a_blob(reopen: Open) -> None:
    store = await reopen()

    async def write(file: int) -> Descriptor:
        os.write(file, b"hello")
        return Descriptor(digest=HELLO, size=5)

    async with await store.ingest("a") as ingest:
        await ingest.fill(write)
        assert await ingest.commit(expected_digest=HELLO) == Descriptor(digest=HELLO, size=5)
    assert await store.read(HELLO) == b"hello"


async def test_another_who_fails_leaves_nothing(reopen: Open, tmp_path: Path) -> None:
    store = await reopen()

    async def write(file: int) -> Descriptor:
        os.write(file, b"hel")
        raise SystemFailure("no more")

    with pytest.raises(SystemFailure):
        async with await store.ingest("a") as ingest:
            await ingest.fill(write)
    assert not [name for _, _, files in os.walk(tmp_path) for name in files]
