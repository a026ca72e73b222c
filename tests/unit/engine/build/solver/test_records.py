"""The records of the build cache."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import errdefs
from engine.build.refs import Layer
from engine.build.solver.records import SCHEMA, CacheStore, Record
from engine.database import Database, Migration

LAYER = Layer(diff_id="sha256:d", chain_id="sha256:c", blob="sha256:b", size=7)


def record(name: str, key: str = "", **more: object) -> Record:
    return Record(id=name, key=key, created=1, used=1, **more)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[CacheStore]:
    database = await Database.open(path / "state.db", [Migration(1, SCHEMA)])
    try:
        store = CacheStore(database)
        await store.load()
        yield store
    finally:
        await database.close()


async def settled() -> None:
    """Nothing is to be done."""


async def test_what_is_added_is_there_at_once_and_kept_after_a_flush(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        store.add(record("one", "key", layers=(LAYER,), blobs=("sha256:x",)))
        assert store.find("key") == store.get("one")
        assert store.layers() == {"sha256:c"}
        assert store.blobs() == {"sha256:b", "sha256:x"}
        await store.touch("one")
        assert store.layers() == {"sha256:c"}
        store.add(record("two", "key"))  # which takes the place of it
        assert store.layers() == store.blobs() == set()
        store.add(record("three", "other", layers=(LAYER,)))
        assert store.blobs() == {"sha256:b"}
        await store.remove(["three"])
        assert store.layers() == store.blobs() == set()
    async with opened(tmp_path) as store:
        assert store.all() == []
        store.add(record("one", "key", layers=(LAYER,)))
        await store.flush(settled)
    async with opened(tmp_path) as store:
        assert [each.layers for each in store.all()] == [(LAYER,)]


async def test_a_flush_comes_after_what_it_refers_to_is_durable(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        store.add(record("one", "key"))

        async def fail() -> None:
            raise errdefs.SystemFailure("the disk is full")

        with pytest.raises(errdefs.SystemFailure):
            await store.flush(fail)
        await store.flush(settled)
    async with opened(tmp_path) as store:
        assert store.find("key") is not None


async def test_a_key_has_one_record(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        store.add(record("one", "key"))
        await store.flush(settled)
        store.add(record("two", "key"))
        await store.flush(settled)
        assert [each.id for each in store.all()] == ["two"]
    async with opened(tmp_path) as store:
        assert [each.id for each in store.all()] == ["two"]
        await store.remove(["two"])
        assert store.find("key") is None
    async with opened(tmp_path) as store:
        assert store.all() == []


async def test_use_is_noted(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.save(record("one", "key"))
        await store.touch("one")
        await store.touch("nobody")
        with store.using(["one"]), store.using(["one"]):
            assert store.in_use("one")
        assert not store.in_use("one")
        await store.flush(settled)
    async with opened(tmp_path) as store:
        found = store.get("one")
        assert found is not None
        assert (found.uses, found.used > 1) == (2, True)


async def test_what_is_not_whole_any_more_goes(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.save(record("one", "key", layers=(LAYER,)))
        await store.save(record("two"))
        await store.load(lambda each: not each.layers)
        assert [each.id for each in store.all() if not each.layers] == ["two"]
    async with opened(tmp_path) as store:
        assert [each.id for each in store.all()] == ["two"]


async def test_what_is_kept_is_there_after_the_daemons_death(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        store.add(record("one", "key", layers=(LAYER,)))
        store.add(record("mount", directory="d"))
        await store.keep()
        store.add(record("two", "key"))
        store.add(record("three", "gone"))
        await store.remove(["three"])
        await store.keep()
    async with opened(tmp_path) as store:
        assert [each.id for each in store.all()] == ["two"], "what has a directory waits for the flush"
