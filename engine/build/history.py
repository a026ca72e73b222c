"""The history of builds on the disk: a record of each that has ended, and what it told (`docker buildx history`).

Both are the API's own words, of which only the reference and the size mean something here.
"""

import sqlite3
import zlib
from collections.abc import Sequence

import msgspec

from engine.database import Database

SCHEMA = """
CREATE TABLE build_history (ref TEXT PRIMARY KEY, record BLOB NOT NULL, told BLOB NOT NULL) STRICT;
"""
_LIST = "SELECT record, length(record) + length(told) FROM build_history ORDER BY rowid"
_TOLD = "SELECT told FROM build_history WHERE ref = ?"
_PUT = "INSERT OR REPLACE INTO build_history (ref, record, told) VALUES (?, ?, ?)"
_UPDATE = "UPDATE build_history SET record = ? WHERE ref = ?"
_DELETE = "DELETE FROM build_history WHERE ref = ?"


class Kept(msgspec.Struct, frozen=True):
    """A record, and the bytes that it takes with what the build told."""

    record: bytes
    size: int


class HistoryStore:
    """Keeps it in the database. What was put outlives the daemon's death at once, a power cut a little later."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> Sequence[Kept]:
        """Every record, the oldest first."""
        rows = await self._database.read(lambda connection: connection.execute(_LIST).fetchall())
        return [Kept(record, size) for record, size in rows]

    async def told(self, ref: str) -> bytes:
        """What a build told, nothing for one that is not known."""
        row = await self._database.read(lambda connection: connection.execute(_TOLD, (ref,)).fetchone())
        return zlib.decompress(row[0]) if row else b""

    async def put(self, ref: str, record: bytes, told: bytes) -> int:
        """Keep a build; the bytes that it takes."""

        def write(connection: sqlite3.Connection) -> int:
            packed = zlib.compress(told, 1)
            connection.execute(_PUT, (ref, record, packed))
            return len(record) + len(packed)

        return await self._database.write(write, durable=False)

    async def update(self, ref: str, record: bytes) -> None:
        """Have another record of a build that is kept."""
        await self._database.write(lambda connection: connection.execute(_UPDATE, (record, ref)))

    async def remove(self, refs: Sequence[str], *, durable: bool = True) -> None:
        """Forget builds."""
        gone = [(ref,) for ref in refs]
        await self._database.write(
            lambda connection: connection.executemany(_DELETE, gone), durable=durable, removes=True
        )
