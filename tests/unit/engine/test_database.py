import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

import errdefs
from engine.database import Database, Migration, reserve

SCHEMA = (Migration(1, "CREATE TABLE t (x INTEGER UNIQUE)"),)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(tmp_path / "state.db", SCHEMA)
    yield opened
    await opened.close()


def _insert(x: int, connection: sqlite3.Connection) -> int:
    connection.execute("INSERT INTO t VALUES (?)", (x,))
    return x


def _all(connection: sqlite3.Connection) -> list[int]:
    return [x for (x,) in connection.execute("SELECT x FROM t ORDER BY rowid")]


async def test_a_write_is_seen_by_reads_and_after_reopening(database: Database) -> None:
    assert await database.write(lambda connection: _insert(7, connection)) == 7
    assert await database.read(_all) == [7]
    await database.close()
    reopened = await Database.open(database.path, SCHEMA)
    assert await reopened.read(_all) == [7]
    await reopened.close()


async def test_only_root_may_read_the_file_or_its_log(database: Database) -> None:
    await database.write(lambda connection: _insert(1, connection))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in database.path.parent.iterdir()}
    names = ("state.db", "state.db-wal", "state.db-shm", "state.db-reserve")
    assert modes == dict.fromkeys(names, 0o600)


async def test_a_failing_verb_does_not_undo_its_neighbours(database: Database) -> None:
    def insert_then_fail(connection: sqlite3.Connection) -> None:
        _insert(100, connection)
        raise errdefs.Conflict("no")

    futures = [database.submit(partial(_insert, x)) for x in range(3)]
    failing = database.submit(insert_then_fail)
    twice = database.submit(lambda connection: _insert(1, connection))
    last = database.submit(lambda connection: _insert(4, connection))
    assert await asyncio.gather(*futures, last) == [0, 1, 2, 4]
    with pytest.raises(errdefs.Conflict, match=r"^no$"):
        await failing
    with pytest.raises(sqlite3.IntegrityError):
        await twice
    assert await database.read(_all) == [0, 1, 2, 4]


async def test_queued_writes_share_a_commit(database: Database) -> None:
    begun, release = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(connection: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()

    held = database.submit(hold)
    await begun.wait()
    verbs = [database.submit(partial(_insert, x)) for x in range(50)]
    in_between: list[int] = []
    peek = database.submit(lambda connection: in_between.extend(_through_another_connection(database.path)))
    release.set()
    await asyncio.gather(held, *verbs, peek)
    assert in_between == []  # the verb saw none of the fifty committed: they were in its own transaction
    assert _through_another_connection(database.path) == list(range(50))


def _through_another_connection(path: Path) -> list[int]:
    connection = sqlite3.connect(path)
    try:
        return _all(connection)
    finally:
        connection.close()


async def test_when_sqlite_gives_up_the_whole_transaction_the_others_are_done_alone(
    database: Database,
) -> None:
    def give_up(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("database or disk is full")

    release = asyncio.Event()
    loop = asyncio.get_running_loop()
    held = database.submit(lambda _: asyncio.run_coroutine_threadsafe(release.wait(), loop).result())
    first = database.submit(lambda connection: _insert(1, connection))
    failing = database.submit(give_up)
    last = database.submit(lambda connection: _insert(2, connection))
    release.set()
    await held
    assert [await first, await last] == [1, 2]
    with pytest.raises(errdefs.SystemFailure, match="disk is full"):
        await failing
    assert await database.read(_all) == [1, 2]


async def test_a_full_disk_is_an_error_of_the_host_and_passes(database: Database) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE filler (b BLOB)")
        connection.execute("INSERT INTO filler VALUES (zeroblob(1000000))")

    await database.write(lambda connection: connection.execute("PRAGMA max_page_count = 20") and None)
    with pytest.raises(errdefs.SystemFailure, match="database or disk is full: no space left on device"):
        await database.write(fill)
    assert await database.write(lambda connection: _insert(1, connection)) == 1


async def test_only_a_removal_takes_of_the_reserve_and_it_is_filled_again(database: Database) -> None:
    kept = database.path.with_name("state.db-reserve")
    sizes: list[int] = []

    def full(_: sqlite3.Connection) -> None:
        sizes.append(kept.stat().st_size)
        if len(sizes) in (1, 2, 3):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

    with pytest.raises(errdefs.SystemFailure, match="no space left on device"):
        await database.write(full)
    await database.write(full, removes=True)
    assert sizes == [
        reserve.SIZE,
        reserve.SIZE,
        reserve.SIZE - reserve.SLICE,
        reserve.SIZE - 2 * reserve.SLICE,
    ]
    assert kept.stat().st_size == kept.stat().st_blocks * 512 == reserve.SIZE


def test_the_reserve_ends_and_leaves_a_disk_alone_that_is_about_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = reserve.Reserve(tmp_path / "kept")
    kept.refill()
    assert sum(kept.give() for _ in range(100)) == reserve.SIZE // reserve.SLICE
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((4096, 4096, *[100] * 8)))
    kept.refill()
    assert not kept.give()


async def test_a_cancelled_waiter_does_not_cancel_the_write(database: Database) -> None:
    waiter = asyncio.ensure_future(database.write(lambda connection: _insert(1, connection)))  # noqa: TID251
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    await database.write(lambda connection: _insert(2, connection))
    assert await database.read(_all) == [1, 2]


async def test_close_finishes_what_is_queued_and_refuses_more(database: Database) -> None:
    futures = [database.submit(partial(_insert, x)) for x in range(600)]
    await database.close()
    assert [future.result() for future in futures] == list(range(600))
    with pytest.raises(errdefs.Unavailable):
        await database.write(_all)
    with pytest.raises(errdefs.Unavailable):
        await database.read(_all)
    assert {path.name for path in database.path.parent.iterdir()} == {"state.db", "state.db-reserve"}


async def test_reads_cannot_write(database: Database) -> None:
    with pytest.raises(errdefs.SystemFailure):
        await database.read(lambda connection: _insert(1, connection))
    assert await database.read(_all) == []


async def test_migrations_are_applied_once_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    first = Migration(1, "CREATE TABLE t (x INTEGER)")
    second = Migration(2, "ALTER TABLE t ADD COLUMN y INTEGER; CREATE TABLE u (z INTEGER);")
    await (await Database.open(path, [first])).close()
    for _ in range(2):
        database = await Database.open(path, [second, first])
        assert await database.read(lambda c: c.execute("SELECT x, y, z FROM t, u").fetchall()) == []
        await database.close()


async def test_a_failing_migration_leaves_the_former_schema(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await (await Database.open(path, SCHEMA)).close()
    broken = Migration(2, "CREATE TABLE u (z INTEGER); CREATE TABLE t (x INTEGER)")
    with pytest.raises(errdefs.SystemFailure, match="to schema 2: table t already exists"):
        await Database.open(path, [*SCHEMA, broken])
    await (await Database.open(path, [*SCHEMA, Migration(2, "CREATE TABLE u (z INTEGER)")])).close()


async def test_a_newer_schema_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await (await Database.open(path, [*SCHEMA, Migration(2, "CREATE TABLE u (z INTEGER)")])).close()
    before = path.read_bytes(), path.stat().st_mtime_ns
    with pytest.raises(errdefs.SystemFailure, match="has schema 2, written by a newer wherryd"):
        await Database.open(path, SCHEMA)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


async def test_what_is_no_database_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(errdefs.SystemFailure, match="file is not a database"):
        await Database.open(path, SCHEMA)
    assert path.read_bytes() == b"not a database" * 100


@pytest.mark.parametrize("versions", [[2], [1, 3], [1, 1], [0]])
async def test_migrations_with_a_gap_are_a_mistake_of_the_program(
    tmp_path: Path, versions: list[int]
) -> None:
    with pytest.raises(ValueError, match="without a gap"):
        await Database.open(tmp_path / "state.db", [Migration(version, "SELECT 1") for version in versions])


async def test_a_process_that_dies_loses_nothing_that_was_done(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    dying = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", _DYING, str(path)],
        env=os.environ | {"PYTHONPATH": str(Path(errdefs.__file__).parent)},
        stdout=subprocess.PIPE,
        check=False,
    )
    assert dying.returncode == -signal.SIGKILL
    told = [int(line) for line in dying.stdout.split()]
    database = await Database.open(path, SCHEMA)
    assert told == list(range(20))
    assert (await database.read(_all))[:20] == told
    await database.close()


_DYING = """
import asyncio, os, sys, pathlib
from engine.database import Database, Migration, reserve
SCHEMA = [Migration(1, "CREATE TABLE t (x INTEGER UNIQUE)")]
async def main():
    database = await Database.open(pathlib.Path(sys.argv[1]), SCHEMA)
    for x in range(20):
        insert = lambda c: c.execute("INSERT INTO t VALUES (?)", (x,)) and None
        await database.write(insert, durable=x % 2 == 0)
        print(x, flush=True)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
