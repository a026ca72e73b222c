"""The state of the daemon: one SQLite file, one thread that writes and one that reads.

Writes are durable when they are done (`synchronous=FULL`, WAL). All that is queued while one transaction is
under way goes into the next one together, so that many changes at once cost one fsync. Reads see what is
committed. Changes that remove something succeed on a full disk, too: room is kept for them.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import errdefs
from engine.database.migrations import Migration, migrate, ordered, require_readable
from engine.database.reserve import Reserve
from engine.database.writer import Verb, Writer

__all__ = ["Database", "Migration"]

T = TypeVar("T")


class Database:
    """The open database. Made by `open`, ended by `close`; used from one event loop."""

    def __init__(self, path: Path, writer: Writer, reader: ThreadPoolExecutor, view: sqlite3.Connection):
        self.path = path
        self._writer = writer
        self._reader = reader
        self._view = view
        self._closed = False

    @classmethod
    async def open(cls, path: Path, migrations: Iterable[Migration]) -> "Database":
        """Open or make (mode 0600) the database; the migrations of all stores bring its schema up to date.

        SystemFailure if it is of a newer schema (then nothing is touched) or cannot be read or migrated.
        """
        loop = asyncio.get_running_loop()
        reserve = Reserve(path.with_name(path.name + "-reserve"))
        connection, view = await asyncio.to_thread(_open, path, ordered(migrations), reserve)
        writer = Writer(connection, reserve, loop)
        writer.start()
        return cls(path, writer, ThreadPoolExecutor(1, "database-reader"), view)

    def submit(
        self, change: Callable[[sqlite3.Connection], T], *, durable: bool = True, removes: bool = False
    ) -> "asyncio.Future[T]":
        """Queue a change at once; the future is done when it is committed. Changes happen in this order.

        `change` runs in the writer's thread, within a savepoint: what it raises undoes it alone and comes
        out of the future. It may be run a second time if the disk failed at the first. With `durable=False`
        it survives the death of the daemon, but perhaps not a power cut: it does not wait for the disk.
        What `removes` may take of the room that is kept for it on a full disk.
        """
        if self._closed:
            raise errdefs.Unavailable("the state database is closed: the daemon is going down")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._writer.put(Verb(change, durable, removes, future))
        return future

    async def write(
        self, change: Callable[[sqlite3.Connection], T], *, durable: bool = True, removes: bool = False
    ) -> T:
        """Make a change (see `submit`) and wait until it is committed. Being cancelled does not undo it."""
        return await asyncio.shield(self.submit(change, durable=durable, removes=removes))

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `query`, which runs in the reader's thread and sees one committed state."""
        if self._closed:
            raise errdefs.Unavailable("the state database is closed: the daemon is going down")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._reader, self._query, query)

    async def close(self) -> None:
        """Finish all that is queued, fold the log into the file, close. Idempotent."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._reader.shutdown)
        self._view.close()
        self._writer.finish()
        await asyncio.to_thread(self._writer.join)

    def _query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        self._view.execute("BEGIN")
        try:
            return query(self._view)
        except sqlite3.OperationalError as error:
            raise errdefs.SystemFailure(f"the state database could not be read: {error}") from error
        finally:
            self._view.execute("ROLLBACK")


def _open(
    path: Path, migrations: list[Migration], reserve: Reserve
) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """Open the database; on a full disk, which has no room for its log either, with what is kept in reserve."""
    while True:
        try:
            connections = _connect(path, migrations)
        except (errdefs.SystemFailure, sqlite3.OperationalError) as error:
            if not _lacks_room(error.__cause__ or error) or not reserve.give():
                raise
        else:
            reserve.refill()
            return connections


def _lacks_room(error: BaseException) -> bool:
    """Whether a full disk may be the reason: making the log and its index fails as any I/O does."""
    lacking = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
    return isinstance(error, sqlite3.OperationalError) and (error.sqlite_errorcode or 0) & 0xFF in lacking


def _connect(path: Path, migrations: list[Migration]) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    require_readable(path, len(migrations))
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        raise errdefs.SystemFailure(f"cannot open the state database {path}: {error.strerror}") from error
    connection = _configured(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        migrate(connection, migrations)
        view = _configured(path)
        view.execute("PRAGMA query_only = 1")
    except BaseException:
        connection.close()
        raise
    return connection, view


def _configured(path: Path) -> sqlite3.Connection:
    """A connection without Python's own transactions; threads take turns by the classes above."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    connection.execute("PRAGMA foreign_keys = 1")
    return connection
