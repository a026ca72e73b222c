"""The build cache's records: what a step made, found again by its key; and directories of cache mounts.

In memory for readers, in the database for good. They keep their layers and blobs alive.
"""

import logging
import secrets
import sqlite3
import string
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

import errdefs
from engine.build.refs import Layer
from engine.database import Database
from engine.images.needed import Needed

_log = logging.getLogger(__name__)
_USE_IS_NOTED = 60_000_000_000  # nanoseconds between two notes of a record's use

_ALPHABET = string.ascii_lowercase + string.digits

REGULAR, CACHE_MOUNT, LOCAL = "regular", "exec.cachemount", "source.local"
SCHEMA = """
CREATE TABLE build_cache (id TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT;
"""
_DELETE = "DELETE FROM build_cache WHERE id = ?"
_PUT = "INSERT INTO build_cache (id, record) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record"


def new_id() -> str:
    """An id for a record, as BuildKit's look."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(25))


class Fetched(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A file from a URL: what the URL is known by, what the file is called, its SHA-256 and its time in nanoseconds.

    `etag` is what the server called it, "" for nothing.
    """

    url: str
    name: str
    digest: str
    modified: int
    etag: str = ""


class Record(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One thing that the cache keeps. Times are Unix nanoseconds, sizes bytes.

    `id` is what `docker builder du` shows. `key` finds a step again ("" for what is not found by a key), `layers` are
    its own, the lowest first: none for a step that changed nothing, several for the layers of an image that was pulled
    for builds alone, of which `blobs` are the documents. `directory` is that of a cache mount, of a client's files or
    of one from a URL, which `fetched` tells of, below data_root/build/cache. `parent` is the id of the record of its
    root, "" for none.
    """

    id: str
    kind: str = REGULAR
    key: str = ""
    description: str = ""
    layers: tuple[Layer, ...] = ()
    blobs: tuple[str, ...] = ()
    directory: str = ""
    fetched: Fetched | None = None
    parent: str = ""
    root: str = ""  # chain id that the layers stand on
    size: int = 0
    created: int
    used: int
    uses: int = 1


class CacheStore:
    """What builds add is there at once, in the database after `keep`, for good after `flush`.

    What is kept outlives the daemon's death; a start after the host's knows nothing of what was not flushed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._records: dict[str, Record] = {}
        self._keys: dict[str, str] = {}  # key: record id
        self._needed = Needed(self.all, _chain_ids, _blobs)
        self._using: Counter[str] = Counter()
        self._unwritten: dict[str, Record | None] = {}  # None is the end of a record
        self._unkept: dict[str, Record | None] = {}
        self._noted: dict[str, int] = {}  # record id: its use as the database has it

    async def load(self, whole: Callable[[Record], bool] = lambda _: True) -> None:
        """Read the records, once, at boot; those that are not `whole` any more are removed."""
        gone: list[str] = []
        for record_id, raw in await self._database.read(_all_rows):
            try:
                record = msgspec.json.decode(raw, type=Record)
            except msgspec.DecodeError as error:
                _log.warning("the record %s of the build cache cannot be read: %s", record_id, error)
                gone.append(record_id)
                continue
            if whole(record):
                self._publish(record)
            else:
                gone.append(record_id)
        await self.remove(gone)

    def all(self) -> list[Record]:
        """Every record, in no order."""
        return list(self._records.values())

    def get(self, record_id: str) -> Record | None:
        """The record of that id."""
        return self._records.get(record_id)

    def find(self, key: str) -> Record | None:
        """The record of a step."""
        return self._records.get(self._keys.get(key, ""))

    def layers(self) -> set[str]:
        """Chain ids of all layers that the cache refers to."""
        return self._needed.layers

    def blobs(self) -> set[str]:
        """Digests of all content that the cache refers to."""
        return self._needed.blobs

    def add(self, record: Record) -> None:
        """Have a record now, and in the database at the next `flush`. One with the same key gives way to it."""
        former = self._keys.get(record.key) if record.key else None
        if former not in (None, record.id):
            self._records.pop(str(former))
            self._unwritten[str(former)] = self._unkept[str(former)] = None
        self._publish(record)
        self._unwritten[record.id] = record
        if not record.directory:  # whose content nothing marks as not durable
            self._unkept[record.id] = record

    async def keep(self) -> None:
        """Have what was added outlive the daemon; without waiting for the disk, as a flush does.

        After the host's death it does not count: layers and blobs that were not settled are gone then.
        """
        unkept, self._unkept = self._unkept, {}
        if unkept:
            await self._write(unkept, durable=False)

    async def save(self, record: Record) -> None:
        """Commit a record that refers to nothing which is not durable."""
        self.add(record)
        del self._unwritten[record.id]
        self._unkept.pop(record.id, None)
        await self._write({record.id: record})

    async def flush(self, settle: Callable[[], Awaitable[None]]) -> bool:
        """Commit all that was added, once `settle` has made durable what it refers to; False if there was nothing."""
        unwritten, self._unwritten = self._unwritten, {}
        if not unwritten:
            return False
        try:
            await settle()
            await self._write(unwritten)
        except errdefs.WherryError:
            self._unwritten = {**unwritten, **self._unwritten}
            raise
        return True

    async def _write(self, changes: Mapping[str, Record | None], *, durable: bool = True) -> None:
        gone = [(each,) for each, record in changes.items() if record is None]
        new = [(each, msgspec.json.encode(record)) for each, record in changes.items() if record is not None]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(_DELETE, gone)
            connection.executemany(_PUT, new)

        await self._database.write(write, durable=durable)

    async def touch(self, record_id: str) -> None:
        """Note that a record was of use; it is written down at a `flush`, at most once a minute."""
        record, now = self._records.get(record_id), time.time_ns()
        if record is None:
            return
        used = self._records[record_id] = msgspec.structs.replace(record, used=now, uses=record.uses + 1)
        if record_id in self._unwritten or now - self._noted.get(record_id, record.used) > _USE_IS_NOTED:
            self._noted[record_id] = now
            self._unwritten[record_id] = used

    async def remove(self, record_ids: Iterable[str]) -> None:
        """Commit the end of records; what they kept is their caller's to let go of."""
        gone = [(each,) for each in record_ids]
        if not gone:
            return
        for (record_id,) in gone:
            record = self._records.pop(record_id, None)
            self._needed.changed()
            self._unwritten.pop(record_id, None)
            self._unkept.pop(record_id, None)
            self._noted.pop(record_id, None)
            if record is not None and self._keys.get(record.key) == record_id:
                del self._keys[record.key]
        await self._database.write(lambda connection: connection.executemany(_DELETE, gone), removes=True)

    @contextmanager
    def using(self, record_ids: Sequence[str]) -> Iterator[None]:
        """These are in use: `du` shows it, and no prune takes them."""
        self._using.update(record_ids)
        try:
            yield
        finally:
            for each in record_ids:
                self._using[each] -= 1
                if not self._using[each]:
                    del self._using[each]

    def in_use(self, record_id: str) -> bool:
        """Whether a build works with it."""
        return record_id in self._using

    def _publish(self, record: Record) -> None:
        self._records[record.id] = record
        self._needed.changed()
        if record.key:
            self._keys[record.key] = record.id


def _chain_ids(record: Record) -> list[str]:
    return [layer.chain_id for layer in record.layers]


def _blobs(record: Record) -> list[str]:
    return [*(layer.blob for layer in record.layers), *record.blobs]


def _all_rows(connection: sqlite3.Connection) -> list[tuple[str, bytes]]:
    return connection.execute("SELECT id, record FROM build_cache").fetchall()
