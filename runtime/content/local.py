"""A content store in a directory, private to root.

Blobs are in `blobs/sha256/<hex>`, ingests in `ingests/<random>`, what is written of resumable ones in `retained/<hex>`;
an empty `retained/<hex>.whole` says that the blob is there and retained.
"""

import asyncio
import os
import secrets
import time
from pathlib import Path
from typing import Self

from errdefs import Conflict, InvalidArgument, NotFound
from runtime.content.ingests import WHOLE, LocalIngest, LocalResumableIngest
from runtime.content.store import check_digest


class LocalContentStore:
    """See runtime.content.store.ContentStore."""

    def __init__(self, root: Path) -> None:
        """Use `open`."""
        self._blobs = root / "blobs" / "sha256"
        self._ingests = root / "ingests"
        self._retained = root / "retained"
        self._refs: set[str] = set()

    @classmethod
    async def open(cls, root: Path) -> Self:
        """Open the store at `root`, made if need be; unfinished ingests of a former run are removed.

        Those that can be resumed stay.
        """
        store = cls(root)
        await asyncio.to_thread(store._prepare)
        return store

    def _prepare(self) -> None:
        root = self._ingests.parent
        for directory in (root, self._ingests, self._retained, self._blobs.parent, self._blobs):
            directory.mkdir(exist_ok=True, mode=0o700)
        for orphan in self._ingests.iterdir():
            orphan.unlink()
        for file in self._retained.iterdir():
            # A mark without its blob, or bytes of a blob that came to be in another way.
            if file.name.endswith(WHOLE) != (self._blobs / file.name.removesuffix(WHOLE)).exists():
                file.unlink()

    async def ingest(self, ref: str) -> LocalIngest:
        """See ContentStore."""
        if ref in self._refs:
            raise Conflict(f"content {ref} is being written already")
        self._refs.add(ref)
        return LocalIngest(ref, self._refs, self._ingests / secrets.token_hex(16), self._blobs)

    async def resume(self, digest: str, size: int) -> LocalResumableIngest:
        """See ContentStore."""
        name = check_digest(digest).removeprefix("sha256:")
        if digest in self._refs:
            raise Conflict(f"content {digest} is being written already")
        self._refs.add(digest)
        ingest = LocalResumableIngest(digest, size, self._refs, self._retained / name, self._blobs)
        try:
            await ingest.read_back()
        except BaseException:
            await ingest.suspend()
            raise
        return ingest

    async def retained(self) -> dict[str, float]:
        """See ContentStore."""
        return await asyncio.to_thread(self._ages)

    def _ages(self) -> dict[str, float]:
        now = time.time()
        return {
            f"sha256:{entry.name.removesuffix(WHOLE)}": now - entry.stat().st_mtime
            for entry in os.scandir(self._retained)
        }

    async def release(self, digest: str) -> None:
        """See ContentStore."""
        name = check_digest(digest).removeprefix("sha256:")
        if digest not in self._refs:
            (self._retained / name).unlink(missing_ok=True)
            (self._retained / (name + WHOLE)).unlink(missing_ok=True)

    async def put(self, data: bytes) -> str:
        """See ContentStore."""
        async with await self.ingest(f"put-{secrets.token_hex(8)}") as ingest:
            await ingest.write(data)
            return (await ingest.commit()).digest

    async def read(self, digest: str, limit: int = 4 << 20) -> bytes:
        """See ContentStore."""
        path = self.path(digest)
        size = await self.size(digest)
        if size > limit:
            raise InvalidArgument(
                f"content {digest} has {size} bytes, more than the {limit} that it may have"
            )
        return await asyncio.to_thread(_read, path, digest)

    def path(self, digest: str) -> Path:
        """See ContentStore."""
        return self._blobs / check_digest(digest).removeprefix("sha256:")

    async def exists(self, digest: str) -> bool:
        """See ContentStore."""
        return await asyncio.to_thread(self.path(digest).exists)

    async def size(self, digest: str) -> int:
        """See ContentStore."""
        try:
            return (await asyncio.to_thread(self.path(digest).stat)).st_size
        except FileNotFoundError:
            raise _missing(digest) from None

    async def delete(self, digest: str) -> None:
        """See ContentStore."""
        try:
            await asyncio.to_thread(self.path(digest).unlink)
        except FileNotFoundError:
            raise _missing(digest) from None

    async def walk(self) -> list[str]:
        """See ContentStore."""
        names = await asyncio.to_thread(os.listdir, self._blobs)
        return sorted(f"sha256:{name}" for name in names)


def _read(path: Path, digest: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise _missing(digest) from None


def _missing(digest: str) -> NotFound:
    return NotFound(f"content {digest}: not found")
