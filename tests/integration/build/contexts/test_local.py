"""Clients' directories that are kept from build to build."""

import asyncio
import os
from pathlib import Path

import pytest

from engine.build import leftovers
from engine.build.contexts.local import LocalSources
from engine.build.solver.records import CacheStore, Record


async def build(local: LocalSources, content: str | None, key: str = "key", name: str = "context") -> str:
    """Put content into the file of a directory, or leave it; what names it all afterwards."""
    async with local.lend(key, name) as lent:
        if content is not None:
            (lent.path / "f").write_text(content)
        await local.keep(lent, changed=content is not None)
        return lent.content


def records(cache: CacheStore) -> list[Record]:
    return sorted(cache.all(), key=lambda each: each.created)


def directories(path: Path) -> list[Path]:
    return [each for each in (path / "cache").iterdir() if not each.is_symlink()]


def marks(path: Path) -> list[str]:
    return [each.name for each in (path / "cache").iterdir() if each.is_symlink()]


async def flushed(cache: CacheStore, local: LocalSources, path: Path) -> list[Record]:
    """What a daemon that starts now knows."""
    await cache.flush(local.settle)
    again = CacheStore(cache._database)
    await again.load()
    await leftovers.sweep_caches(again, path)
    return again.all()


async def test_a_directory_is_found_again(cache: CacheStore, local: LocalSources, tmp_path: Path) -> None:
    first = await build(local, "content")
    (record,) = records(cache)
    assert (record.kind, record.description, record.size, record.uses) == (
        "source.local",
        "local source for context",
        7,
        1,
    )
    assert (tmp_path / "cache" / record.directory / "f").read_text() == "content"
    assert await build(local, None) == first
    assert await build(local, "other content") != first
    (later,) = records(cache)
    assert (later.id, later.size, later.uses) == (record.id, 13, 3)
    assert await flushed(cache, local, tmp_path / "cache") == [later]


async def test_other_keys_and_names_have_others(
    cache: CacheStore, local: LocalSources, tmp_path: Path
) -> None:
    for key, name in (("key", "context"), ("key2", "context"), ("key", "other")):
        async with local.lend(key, name) as lent:
            assert os.listdir(lent.path) == []
        await build(local, f"{key} {name}", key, name)
    assert len(records(cache)) == len(directories(tmp_path)) == 3


async def test_two_at_once_have_each_their_own(
    cache: CacheStore, local: LocalSources, tmp_path: Path
) -> None:
    await build(local, "before")
    async with local.lend("key", "context") as one, local.lend("key", "context") as two:
        assert (one.path / "f").read_text() == "before"
        assert os.listdir(two.path) == []
        (two.path / "f").write_text("two")
        await local.keep(two, changed=True)
        assert cache.in_use(two.record.id)
        assert (one.path / "f").read_text() == "before"
        await local.keep(one, changed=False)
    assert not cache.in_use(two.record.id)
    assert len(records(cache)) == len(directories(tmp_path)) == 2


async def test_what_failed_is_not_kept(cache: CacheStore, local: LocalSources, tmp_path: Path) -> None:
    await build(local, "before")
    await cache.flush(local.settle)
    for _ in range(2):  # known, and new
        with pytest.raises(asyncio.CancelledError):
            async with local.lend("key", "context"):
                raise asyncio.CancelledError
        assert records(cache) == []
        assert os.listdir(tmp_path / "cache") == []
    assert await flushed(cache, local, tmp_path / "cache") == []


async def test_a_start_knows_nothing_of_what_was_changing(
    cache: CacheStore, local: LocalSources, tmp_path: Path
) -> None:
    await build(local, "before")
    await cache.flush(local.settle)
    await build(local, "other", name="other")
    async with local.lend("key", "context") as lent:
        assert records(cache)
        assert [each.description for each in await flushed(cache, local, tmp_path / "cache")] == [
            "local source for other"
        ]
        assert not lent.path.exists()
        lent.path.mkdir()


async def test_a_mark_goes_when_all_is_on_the_disk(
    cache: CacheStore, local: LocalSources, tmp_path: Path
) -> None:
    await build(local, "before")
    await build(local, None)
    assert len(marks(tmp_path)) == 1, "what was kept is not settled yet"
    await cache.flush(local.settle)
    assert marks(tmp_path) == []
    await build(local, None)
    assert marks(tmp_path) == []
    assert not await cache.flush(local.settle), "nothing has changed"
    await build(local, "after")
    async with local.lend("key", "context") as lent:
        await cache.flush(local.settle)
        assert len(marks(tmp_path)) == 1, "somebody may change it again"
        await local.keep(lent, changed=False)
    assert marks(tmp_path) == []


async def test_to_lend_a_directory_waits_for_no_disk(
    cache: CacheStore, local: LocalSources, tmp_path: Path
) -> None:
    await build(local, "before")
    await cache.flush(local.settle)
    before = await cache._database.read(lambda view: view.execute("PRAGMA data_version").fetchone())
    await build(local, None)
    assert await cache._database.read(lambda view: view.execute("PRAGMA data_version").fetchone()) == before


async def test_what_was_pruned_meanwhile_goes_with_its_build(
    cache: CacheStore, local: LocalSources, tmp_path: Path
) -> None:
    await build(local, "before")
    async with local.lend("key", "context") as lent:
        await local.keep(lent, changed=False)
        await cache.remove([lent.record.id])
        assert (lent.path / "f").read_text() == "before"
    assert os.listdir(tmp_path / "cache") == []
