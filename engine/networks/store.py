"""The networks that users made: in memory for readers, in the database for good."""

import msgspec

from engine.database import Database
from network.drivers.driver import NetworkInfo

SCHEMA = "CREATE TABLE networks (id TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT"


class NetworkStore:
    """Reads see a change only after its commit. Predefined networks are not here: each boot makes them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_id: dict[str, NetworkInfo] = {}

    async def load(self) -> None:
        """Read every record; called once, at boot."""
        rows: list[tuple[bytes]] = await self._database.read(
            lambda connection: connection.execute("SELECT record FROM networks ORDER BY rowid").fetchall()
        )
        for (record,) in rows:
            network = msgspec.json.decode(record, type=NetworkInfo)
            self._by_id[network.id] = network

    def all(self) -> list[NetworkInfo]:
        """Every network, in the order in which they were made."""
        return list(self._by_id.values())

    async def add(self, network: NetworkInfo) -> None:
        """Commit a new network durably, then let readers see it."""
        record = msgspec.json.encode(network)
        await self._database.write(
            lambda connection: connection.execute(
                "INSERT INTO networks (id, record) VALUES (?, ?)", (network.id, record)
            )
        )
        self._by_id[network.id] = network

    async def delete(self, network_id: str) -> None:
        """Commit durably that a network is gone, then let readers see it; one that is not there is no failure."""
        await self._database.write(
            lambda connection: connection.execute("DELETE FROM networks WHERE id = ?", (network_id,)),
            removes=True,
        )
        self._by_id.pop(network_id, None)
