"""Changes of a file system as a blob, whose digest names the layer that they are."""

import asyncio
import os
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from engine import faults
from engine.images import config
from engine.images.holds import BlobSession
from runtime.content.store import ContentStore, Descriptor
from runtime.copying.workers import Workers
from runtime.layers.archive import END
from runtime.layers.digesting import Packed
from runtime.layers.lower import OVERLAYS
from runtime.layers.small import SmallPacker

EMPTY = config.digest_of(END)
"""The archive of no changes."""

Top = tuple[int, int, int, Mapping[str, bytes]]
"""Mode, owner and xattrs of a root directory, which no archive of changes tells of."""


class Storing:
    """Stores them: small ones by a thread, large ones by a process."""

    def __init__(self, content: ContentStore, workers: Workers) -> None:
        self._content = content
        self._workers = workers
        self._packer = SmallPacker()

    def close(self) -> None:
        """When nothing is stored any more."""
        self._packer.close()

    async def store(self, upper: Path, top: Top, blobs: BlobSession) -> Packed:
        """Make a held blob of the changes in an overlay's upper directory, durable once the store is settled; none of
        no changes. `top` is what the directory was like as it was made. SystemFailure when the host fails.
        """
        async with await self._content.ingest(f"build-{secrets.token_hex(8)}") as ingest:
            small, found_top = await asyncio.gather(
                self._packer.pack(upper), asyncio.to_thread(top_of, upper)
            )
            if small == END:
                return Packed(digest=EMPTY, size=len(END), ambiguous=False)
            packed: list[Packed] = []
            if small is not None:
                await ingest.write(small)
            else:
                await ingest.fill(partial(self._pack, upper, packed.append))
            faults.hit("build.packed")
            found = await blobs.finish(ingest, durable=False)
        ambiguous = any(each.ambiguous for each in packed) or found_top != top
        return Packed(digest=found.digest, size=found.size, ambiguous=ambiguous)

    async def _pack(self, upper: Path, tell: Callable[[Packed], None], file: int) -> Descriptor:
        packed = await self._workers.pack(upper, file)
        tell(packed)
        return Descriptor(digest=packed.digest, size=packed.size)


def top_of(upper: Path) -> Top:
    """What the root directory of these changes is like."""
    found = upper.stat()
    xattrs = {name: os.getxattr(upper, name) for name in os.listxattr(upper) if not name.startswith(OVERLAYS)}
    return found.st_mode, found.st_uid, found.st_gid, xattrs
