"""Images with real stores under a root of their own."""

import hashlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.database import Database, Migration
from engine.events import MIGRATIONS as EVENTS
from engine.events import Events
from engine.filters import Filters
from engine.images import store
from engine.images.commit import LayerWriter
from engine.images.images import Images
from engine.progress import Message
from runtime.content.local import LocalContentStore
from runtime.content.store import Descriptor
from runtime.layers.growing import grown
from runtime.snapshots.overlay import OverlaySnapshotter


@dataclass
class User:
    """A container, as far as images care."""

    id: str
    running: bool = False


@dataclass
class Place:
    """Images under one data root, with all that they stand on."""

    root: Path
    database: Database
    content: LocalContentStore
    snapshots: OverlaySnapshotter
    events: Events
    images: Images
    users: dict[str, list[User]]
    said: list[Message] = field(default_factory=list)

    @classmethod
    async def open(cls, root: Path) -> "Place":
        """Open what is under the root, as the daemon does."""
        database = await Database.open(root / "state.db", [*EVENTS, Migration(2, store.SCHEMA)])
        content = await LocalContentStore.open(root / "content")
        snapshots = await OverlaySnapshotter.open(root / "snapshots")
        events = await Events.open(database)
        users: dict[str, list[User]] = {}
        images = await Images.open(database, content, snapshots, events, lambda image: users.get(image, []))
        await images.sweep()
        return cls(root, database, content, snapshots, events, images, users)

    async def close(self) -> None:
        """Close as the daemon does."""
        self.events.close()
        await self.database.close()

    async def load(self, archive: bytes, *, quiet: bool = True, chunk: int = 65536) -> list[str]:
        """Load an archive; the text that a client would print."""
        self.said.clear()
        await self.images.load(chunks(archive, chunk), quiet=quiet, progress=self._say)
        return [message.stream for message in self.said if message.stream]

    async def _say(self, message: Message) -> None:
        self.said.append(message)

    async def happened(self) -> list[str]:
        """The events of images so far: action and name."""
        found = self.events.subscribe(Filters.of(type=["image"]), 0, time.time_ns())
        return [f"{event.action} {event.attributes['name']}" async for event in found]

    async def files(self) -> set[str]:
        """What lies in the stores."""
        found = set(await self.content.walk()) | {info.name for info in self.snapshots.walk()}
        found |= {each.name for each in (self.root / "content" / "ingests").iterdir()}
        return found | {each.name for each in (self.root / "snapshots" / "tmp").iterdir()}

    def layer_file(self, name: str, path: str, layer: int = 0) -> bytes:
        """A file of a layer of an image, as it was unpacked."""
        chain_id = self.images.get(name).layers[layer].chain_id
        directory = self.root / "snapshots" / "committed" / chain_id.replace(":", "%3A")
        return (directory / "fs" / path).read_bytes()


async def chunks(data: bytes, size: int = 65536) -> AsyncIterator[bytes]:
    """The data as a request's body comes."""
    for at in range(0, len(data), size):
        yield data[at : at + size]


def written(archive: AsyncIterator[bytes]) -> LayerWriter:
    """The data as the process writes it that packs a layer."""

    async def write(file: int, tell: int) -> Descriptor:
        data = b""
        async for chunk in archive:
            data += chunk
            os.write(file, chunk)
            grown(tell)
        return Descriptor(digest=f"sha256:{hashlib.sha256(data).hexdigest()}", size=len(data))

    return write
