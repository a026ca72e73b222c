"""The containers that exist: in memory for readers, in the database for good."""

import logging
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

import errdefs
from engine.containers.container import Container
from engine.containers.state import Status
from engine.database import Database
from engine.networks.remove import User
from volumes.mount_point import VOLUME

_log = logging.getLogger(__name__)

SCHEMA = (
    "CREATE TABLE containers (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, record BLOB NOT NULL) STRICT"
)


class ContainerStore:
    """Reads see a change only after its commit. Records handed out are not to be changed: `save` a copy."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_id: dict[str, Container] = {}
        self._by_name: dict[str, str] = {}
        self._parents: dict[str, set[str]] = {}  # by ID: the containers that have a link to it
        self._reserved: dict[str, str] = {}  # by name: the ID of who is about to have it

    async def load(self) -> None:
        """Read every record; called once, at boot."""
        rows: list[tuple[bytes]] = await self._database.read(
            lambda connection: connection.execute("SELECT record FROM containers").fetchall()
        )
        for (record,) in rows:
            self._publish(msgspec.json.decode(record, type=Container))

    def all(self) -> list[Container]:
        """Every container, newest first."""
        return sorted(self._by_id.values(), key=lambda container: container.created, reverse=True)

    def count(self) -> Counter[Status]:
        """How many containers there are in each state."""
        return Counter(container.state.status for container in self._by_id.values())

    def find(self, container_id: str) -> Container | None:
        """The container with this full ID."""
        return self._by_id.get(container_id)

    def get(self, reference: str) -> Container:
        """The container by full ID, name, or unique prefix of the ID; NotFound or InvalidArgument otherwise.

        "parent/alias" is the one that the container `parent` has a link to by that alias.
        """
        if not reference:
            raise errdefs.InvalidArgument('invalid name or ID supplied: ""')
        name = reference.removeprefix("/")
        found = (
            self._by_id.get(reference) or self._by_id.get(self._by_name.get(name, "")) or self._linked(name)
        )
        if found is not None:
            return found
        matches = [each for each in self._by_id if each.startswith(reference)]
        if len(matches) > 1:
            raise errdefs.InvalidArgument(f"multiple IDs found with provided prefix: {reference}")
        if not matches:
            raise errdefs.NotFound(f"No such container: {reference}")
        return self._by_id[matches[0]]

    def _linked(self, name: str) -> Container | None:
        parent, _, alias = name.partition("/")
        owner = self._by_id.get(self._by_name.get(parent, ""))
        links = owner.links if owner is not None else ()
        return next((self._by_id.get(link.id) for link in links if link.alias == alias), None)

    def names(self, container: Container) -> list[str]:
        """What a container goes by, in order: "/name", and "/parent/alias" for each link to it."""
        parents = [self._by_id[each] for each in self._parents.get(container.id, ())]
        links = [
            f"/{each.name}/{link.alias}" for each in parents for link in each.links if link.id == container.id
        ]
        return sorted([f"/{container.name}", *links])

    @contextmanager
    def reserving(self, name: str, identifier: str) -> Iterator[None]:
        """Hold a name for a container until it is saved; Conflict, in Docker's words, if it is taken."""
        if owner := self._by_name.get(name) or self._reserved.get(name):
            raise errdefs.Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{owner}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )
        self._reserved[name] = identifier
        try:
            yield
        finally:
            del self._reserved[name]

    def of_image(self, image_id: str) -> list[Container]:
        """The containers that were made of an image, or mount it."""
        return [
            container
            for container in self._by_id.values()
            if container.image_id == image_id or any(point.image == image_id for point in container.mounts)
        ]

    def volumes_used(self) -> list[tuple[str, str]]:
        """(volume's name, container's ID) of every volume that a container mounts."""
        return [
            (point.name, container.id)
            for container in self._by_id.values()
            for point in container.mounts
            if point.type == VOLUME
        ]

    def networks_used(self) -> list[User]:
        """The endpoints of every running container."""
        return [
            User(endpoint.network_id, endpoint.id, container.name)
            for container in self._by_id.values()
            for endpoint in container.endpoints.values()
        ]

    def name_taken(self, name: str) -> bool:
        """Whether a container has, or is about to have, this name."""
        return name in self._by_name or name in self._reserved

    async def save(self, container: Container, *, durable: bool = True) -> None:
        """Commit a record, then let readers see it.

        Not durable: it survives the daemon's death, and after a power cut the former record stands. That is enough
        for how a container runs, which is known by its shim.
        """
        record = msgspec.json.encode(container)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO containers (id, name, record) VALUES (?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET name = excluded.name, record = excluded.record",
                (container.id, container.name, record),
            )

        await self._database.write(write, durable=durable)
        self._publish(container)

    def show(self, container: Container) -> None:
        """Let readers see a record without storing it: what is lost with the daemon is learned anew."""
        self._publish(container)

    async def save_run(self, container: Container, *, durable: bool = False) -> bool:
        """Save how a container runs or is to end; where the disk fails, readers at least see it. False then.

        What is not committed is learned anew from the shim and its exit file at the next boot.
        """
        try:
            await self.save(container, durable=durable)
        except errdefs.SystemFailure as error:
            _log.error("container %s: its state is not stored: %s", container.id[:12], error)
            self._publish(container)
            return False
        return True

    async def delete(self, container: Container) -> None:
        """Commit a removal, then let readers see it."""
        await self._database.write(
            lambda connection: connection.execute("DELETE FROM containers WHERE id = ?", (container.id,)),
            removes=True,
        )
        if (former := self._by_id.pop(container.id, None)) is not None:
            self._forget(former)

    def _publish(self, container: Container) -> None:
        former = self._by_id.get(container.id)
        if former is not None:
            self._forget(former)
        self._by_id[container.id] = container
        self._by_name[container.name] = container.id
        for link in container.links:
            self._parents.setdefault(link.id, set()).add(container.id)

    def _forget(self, container: Container) -> None:
        self._by_name.pop(container.name, None)
        for other in {link.id for link in container.links}:
            self._parents[other].discard(container.id)
            if not self._parents[other]:
                del self._parents[other]
