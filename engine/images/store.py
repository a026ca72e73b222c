"""The images that exist and the names they go by: in memory for readers, in the database for good."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from weakref import WeakValueDictionary

import msgspec

import errdefs
from engine.database import Database
from engine.database.writer import DiskFull
from engine.images import reference
from engine.images.image import Image, Layer
from engine.images.needed import Needed
from engine.images.reference import Reference

_log = logging.getLogger(__name__)
_USE_IS_NOTED = 60_000_000_000  # nanoseconds between two notes of an image's use

SCHEMA = """
CREATE TABLE images (id TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT;
CREATE TABLE image_references (
    name TEXT PRIMARY KEY, image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX image_references_by_image ON image_references (image_id);
"""

_PUT = "INSERT INTO images (id, record) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record"
_NAME = (
    "INSERT INTO image_references (name, image_id) VALUES (?, ?) "
    "ON CONFLICT (name) DO UPDATE SET image_id = excluded.image_id"
)
_UNNAME = "DELETE FROM image_references WHERE name = ?"


class ImageStore:
    """Reads see a change only after its commit. Names are kept canonical, with a tag or a digest.

    A *lost* image is one of which content is gone: readers do not see it, so that whoever asks for it pulls it
    again; what is left of it is kept. To save its record makes it whole.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._images: dict[str, Image] = {}
        self._names: dict[str, str] = {}  # canonical name: image id
        self._order: dict[str, set[str]] = {}  # image id: canonical names
        self._lost: dict[str, Image] = {}
        self._needed = Needed(self._recorded, _chain_ids, lambda image: image.blobs)
        self._noted: dict[str, int] = {}  # image id: when it was written down
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.grown = asyncio.Event()
        """Set whenever an image was recorded; cleared by who waits for that."""
        self.unreadable = 0
        """How many records could not be read: while there are any, nobody knows all that is needed."""

    async def load(self, whole: Callable[[Image], Awaitable[Image | None]]) -> None:
        """Read every record; called once, at boot. `whole` gives the record as it is now, None for a lost image.

        Names for no image are removed.
        """
        images, names = await self._database.read(_all_rows)
        recorded = {image_id for image_id, _ in images}
        for name, image_id in names:
            if image_id in recorded:
                self._bind(name, image_id)
        for image_id, record in images:
            await self._read(image_id, record, whole)
        if strays := [(name,) for name, image_id in names if image_id not in recorded]:
            _log.warning(
                "names for images that are not there are removed: %s", ", ".join(name for (name,) in strays)
            )
            await self._database.write(
                lambda connection: connection.executemany(_UNNAME, strays), removes=True
            )

    async def _read(
        self, image_id: str, record: bytes, whole: Callable[[Image], Awaitable[Image | None]]
    ) -> None:
        try:
            image = msgspec.json.decode(record, type=Image)
        except msgspec.DecodeError as error:
            _log.error("the record of the image %s cannot be read, and it is not shown: %s", image_id, error)
            self.unreadable += 1
            return
        if (found := await whole(image)) is not None:
            self._publish(found)
        else:
            _log.error(
                "the image %s has lost content: load or pull it again, or remove it", self._shown(image)
            )
            self._lost[image.id] = image
            self._needed.changed()

    def _shown(self, image: Image) -> str:
        return ", ".join([name.familiar for name in self.names_of(image.id)] or [image.id])

    def lock(self, image_id: str) -> asyncio.Lock:
        """The lock of an image: held while it comes, goes, or what goes by a name of it changes."""
        return self._locks.setdefault(image_id, asyncio.Lock())

    def all(self) -> list[Image]:
        """Every image, in no order."""
        return list(self._images.values())

    def lost(self) -> list[Image]:
        """The images of which content is gone."""
        return [self._named(image) for image in self._lost.values()]

    def lost_as(self, name: str) -> list[Image]:
        """The lost images that this name, id, or beginning of an id means."""
        by_id = [image for image in self._lost.values() if _begins(image.id, name)]
        try:
            image_id = self._names.get(reference.parse(name).stored().canonical, "")
        except errdefs.InvalidArgument:
            return by_id
        return [self._lost[image_id]] if image_id in self._lost else by_id

    def blobs(self) -> set[str]:
        """Digests of all content that images refer to."""
        return self._needed.blobs

    def layers(self) -> set[str]:
        """Chain ids of all layers that images refer to."""
        return self._needed.layers

    def _recorded(self) -> list[Image]:
        return [*self._images.values(), *self._lost.values()]

    def find(self, image_id: str) -> Image | None:
        """The image with this full id ("sha256:…")."""
        return self._images.get(image_id)

    def recorded(self, image_id: str) -> Image | None:
        """The same, or a lost one."""
        return self._images.get(image_id) or self._lost.get(image_id)

    def named(self, name: Reference) -> Image | None:
        """The image that goes by this name; no tag means `latest`, a digest wins over a tag."""
        return self._images.get(self._names.get(name.stored().canonical, ""))

    def by_prefix(self, prefix: str) -> list[Image]:
        """The images whose id begins with this, with or without its algorithm."""
        return [image for image_id, image in self._images.items() if _begins(image_id, prefix)]

    def names_of(self, image_id: str) -> list[Reference]:
        """The names of an image, tags and digests, ordered."""
        return [reference.parse(name) for name in sorted(self._order.get(image_id, ()))]

    def layer(self, chain_id: str, blob: str = "") -> Layer | None:
        """A layer as an image has it, of that blob if possible; None if none has it."""
        layers = (layer for image in self._images.values() for layer in image.layers)
        found = [layer for layer in layers if layer.chain_id == chain_id]
        return next((layer for layer in found if layer.blob == blob), found[0] if found else None)

    def children(self, image_id: str) -> list[Image]:
        """The images built on this one here."""
        return [image for image in self._images.values() if image.parent == image_id]

    async def save(self, image: Image, names: Iterable[Reference] = (), *, durable: bool = True) -> Image:
        """Commit a record and give it these names, taking them from whatever had them; the record now."""
        canonical = [name.stored().canonical for name in names]
        record = _bare(image)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(_PUT, (image.id, record))
            connection.executemany(_NAME, [(name, image.id) for name in canonical])

        await self._database.write(write, durable=durable)
        for name in canonical:
            self._bind(name, image.id)
        self.grown.set()
        self._noted[image.id] = time.time_ns()
        self._lost.pop(image.id, None)
        self._needed.changed()
        return self._publish(image)

    async def note(self, image: Image) -> Image:
        """Have a record that differs in its times alone; written down once a minute, a crash may lose it."""
        if time.time_ns() - self._noted.get(image.id, 0) <= _USE_IS_NOTED:
            return self._publish(image)
        return await self.save(image, durable=False)

    async def touch(self, image_id: str) -> None:
        """Note, to a minute or so, that an image was of use until now. Never waits for who changes it; on a full disk
        it is not noted, which is no failure of who used it.
        """
        lock, now = self.lock(image_id), time.time_ns()
        if lock.locked():
            return
        async with lock:
            image = self.find(image_id)
            if image is not None and now - image.last_used > _USE_IS_NOTED:
                with suppress(DiskFull):
                    await self.save(msgspec.structs.replace(image, last_used=now), durable=False)

    async def adopt(self, image: Image, parent_id: str) -> Image:
        """Commit that an image was built on another one here; the record now."""
        return await self.save(msgspec.structs.replace(image, parent=parent_id))

    async def unname(self, names: Iterable[Reference]) -> None:
        """Commit the end of some names; the images they were for stay."""
        gone = [(name.stored().canonical,) for name in names]
        await self._database.write(
            lambda connection: connection.executemany(_UNNAME, gone),
            removes=True,
        )
        for (name,) in gone:
            self._unbind(name)

    async def delete(self, image: Image) -> None:
        """Commit the end of an image and of its names; images built on it lose their parent."""
        orphans = [msgspec.structs.replace(child, parent="") for child in self.children(image.id)]
        deletion = _deletion(image.id, [(_bare(each), each.id) for each in orphans])
        await self._database.write(deletion, removes=True)
        for name in self._order.pop(image.id, set()):
            self._names.pop(name, None)
        self._images.pop(image.id, None)
        self._lost.pop(image.id, None)
        self._noted.pop(image.id, None)
        self._needed.changed()
        for each in orphans:
            self._publish(each)

    def _bind(self, name: str, image_id: str) -> None:
        self._unbind(name)
        self._names[name] = image_id
        self._order.setdefault(image_id, set()).add(name)
        self._refresh(image_id)

    def _unbind(self, name: str) -> None:
        former = self._names.pop(name, None)
        if former is not None:
            self._order[former].discard(name)
            self._refresh(former)

    def _refresh(self, image_id: str) -> None:
        if image_id in self._images:
            self._publish(self._images[image_id])

    def _publish(self, image: Image) -> Image:
        former = self._images.get(image.id)
        if former is None or (former.layers, former.manifest) != (image.layers, image.manifest):
            self._needed.changed()
        named = self._images[image.id] = self._named(image)
        return named

    def _named(self, image: Image) -> Image:
        names = self.names_of(image.id)
        return msgspec.structs.replace(
            image,
            references=[name.familiar for name in names if name.tag],
            digests=[name.familiar for name in names if name.digest],
        )


def _begins(image_id: str, prefix: str) -> bool:
    return image_id.startswith(prefix if prefix.startswith("sha256:") else f"sha256:{prefix}")


def _bare(image: Image) -> bytes:
    """The record without its names, which have a table of their own."""
    return msgspec.json.encode(msgspec.structs.replace(image, references=[], digests=[]))


def _all_rows(connection: sqlite3.Connection) -> tuple[list[tuple[str, bytes]], list[tuple[str, str]]]:
    images = connection.execute("SELECT id, record FROM images").fetchall()
    names = connection.execute("SELECT name, image_id FROM image_references").fetchall()
    return images, names


def _deletion(image_id: str, orphans: list[tuple[bytes, str]]) -> Callable[[sqlite3.Connection], None]:
    def write(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM images WHERE id = ?", (image_id,))
        connection.executemany("UPDATE images SET record = ? WHERE id = ?", orphans)

    return write


def _chain_ids(image: Image) -> list[str]:
    return [layer.chain_id for layer in image.layers]
