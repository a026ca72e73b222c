"""The volumes that exist: in memory for readers, in the database for good."""

import sqlite3

import msgspec

from engine.database import Database
from volumes.volume import Volume

SCHEMA = "CREATE TABLE volumes (name TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT"


class VolumeStore:
    """Reads see a change only after its commit."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_name: dict[str, Volume] = {}

    async def load(self) -> None:
        """Read every record; called once, at boot."""
        rows: list[tuple[bytes]] = await self._database.read(
            lambda connection: connection.execute("SELECT record FROM volumes").fetchall()
        )
        for (record,) in rows:
            volume = msgspec.json.decode(record, type=Volume)
            self._by_name[volume.name] = volume

    def all(self) -> list[Volume]:
        """Every volume, by name."""
        return [self._by_name[name] for name in sorted(self._by_name)]

    def find(self, name: str) -> Volume | None:
        """The volume of this name."""
        return self._by_name.get(name)

    async def save(self, volume: Volume, *, durable: bool = True) -> None:
        """Commit a record, then let readers see it. Not durable: a power cut may bring the former one back."""
        record = msgspec.json.encode(volume)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO volumes (name, record) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET record = excluded.record",
                (volume.name, record),
            )

        await self._database.write(write, durable=durable)
        self._by_name[volume.name] = volume

    async def delete(self, name: str) -> None:
        """Commit that a volume is gone, then let readers see it.

        Without waiting for the disk: after a power cut its last phase, REMOVING, is back, and it is removed again.
        """
        await self._database.write(
            lambda connection: connection.execute("DELETE FROM volumes WHERE name = ?", (name,)),
            durable=False,
            removes=True,
        )
        self._by_name.pop(name, None)
