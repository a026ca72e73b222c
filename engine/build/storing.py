"""Changes of a file system as a blob, whose digest names the layer that they are."""

import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

from engine import faults
from engine.images import config
from engine.images.holds import BlobSession
from runtime.content.store import ContentStore, Descriptor
from runtime.layers.archive import END
from runtime.layers.pack import Packed, pack_layer
from runtime.layers.small import SmallPacker

EMPTY = config.digest_of(END)
"""The archive of no changes."""


class Storing:
    """Stores them: small ones by a thread, large ones by a process."""

    def __init__(self, content: ContentStore) -> None:
        self._content = content
        self._packer = SmallPacker()

    def close(self) -> None:
        """When nothing is stored any more."""
        self._packer.close()

    async def store(self, upper: Path, blobs: BlobSession) -> Packed:
        """Make a held blob of the changes in an overlay's upper directory, durable once the store is settled; none of
        no changes. SystemFailure when the host fails.
        """
        async with await self._content.ingest(f"build-{secrets.token_hex(8)}") as ingest:
            small = await self._packer.pack(upper)
            if small == END:
                return Packed(digest=EMPTY, size=len(END), ambiguous=False)
            packed: list[Packed] = []
            if small is not None:
                await ingest.write(small)
            else:
                await ingest.fill(partial(_pack, upper, packed.append))
            faults.hit("build.packed")
            found = await blobs.finish(ingest, durable=False)
        ambiguous = any(each.ambiguous for each in packed)
        return Packed(digest=found.digest, size=found.size, ambiguous=ambiguous)


async def _pack(upper: Path, tell: Callable[[Packed], None], file: int) -> Descriptor:
    packed = await pack_layer(upper, file)
    tell(packed)
    return Descriptor(digest=packed.digest, size=packed.size)
