"""Changes of a file system as a blob, whose digest names the layer that they are."""

import secrets
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from engine import faults
from engine.images import config
from engine.images.holds import BlobSession
from runtime.content.store import ContentStore
from runtime.layers.archive import END
from runtime.layers.pack import pack
from runtime.layers.small import SmallPacker

EMPTY = config.digest_of(END)
"""The archive of no changes."""


@dataclass(slots=True, kw_only=True)
class Stored:
    """The archive as a blob, and its bytes. `ambiguous`: whoever unpacks it gets other files than it was made of."""

    digest: str
    size: int
    ambiguous: bool = False

    def note_ambiguous(self) -> None:
        """It is."""
        self.ambiguous = True


class Storing:
    """Stores them: small ones by a thread, large ones by a process."""

    def __init__(self, content: ContentStore) -> None:
        self._content = content
        self._packer = SmallPacker()

    def close(self) -> None:
        """When nothing is stored any more."""
        self._packer.close()

    async def store(self, upper: Path, blobs: BlobSession) -> Stored:
        """Make a held blob of the changes in an overlay's upper directory, durable once the store is settled; none of
        no changes. SystemFailure when the host fails.
        """
        stored = Stored(digest=EMPTY, size=len(END))
        async with await self._content.ingest(f"build-{secrets.token_hex(8)}") as ingest:
            small = await self._packer.pack(upper)
            if small == END:
                return stored
            if small is not None:
                await ingest.write(small)
            else:
                packed = pack(upper, whiteouts=True, ambiguous=stored.note_ambiguous)
                async with aclosing(packed) as chunks:
                    async for chunk in chunks:
                        await ingest.write(chunk)
            faults.hit("build.packed")
            found = await blobs.finish(ingest, durable=False)
        stored.digest, stored.size = found.digest, found.size
        return stored
