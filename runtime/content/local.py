"""A content store in a directory, private to root.

Blobs are in `blobs/sha256/<hex>`, ingests in `ingests/<random>`, what is written of resumable ones in `retained/<hex>`;
an empty `retained/<hex>.whole` says that the blob is there and retained.
"""

import asyncio
import hashlib
import logging
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self

from errdefs import Conflict, InvalidArgument, NotFound, SystemFailure
from runtime.content.ingests import WHOLE, LocalIngest, LocalResumableIngest
from runtime.content.store import Retained, check_digest
from runtime.unsettled import Unsettled

_log = logging.getLogger(__name__)
_BLOB = re.compile(r"[0-9a-f]{64}")
_INGEST = re.compile(r"[0-9a-f]{32}")
_RETAINED = re.compile(rf"{_BLOB.pattern}({re.escape(WHOLE)})?")


class LocalContentStore:
    """See runtime.content.store.ContentStore."""

    def __init__(self, root: Path) -> None:
        """Use `open`."""
        self._blobs = root / "blobs" / "sha256"
        self._ingests = root / "ingests"
        self._retained = root / "retained"
        self._unsettled = Unsettled(root / "unsettled")
        self._refs: set[str] = set()
        self._releasing = asyncio.Lock()  # a writer begins before an unlink or after it

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
        own = (self._ingests, self._retained, self._blobs.parent, self._blobs, root / "unsettled")
        for directory in (root, *own):
            directory.mkdir(exist_ok=True, mode=0o700)
        for directory, name in ((self._ingests, _INGEST), (self._retained, _RETAINED), (self._blobs, _BLOB)):
            for stranger in set(os.listdir(directory)) - {file.name for file in _files(directory, name)}:
                _log.warning("%s is not of the content store and is left alone", directory / stranger)
        for left in self._unsettled.distrusted():
            _remove(self._blobs / left)
            self._unsettled.forget(left)
        for orphan in _files(self._ingests, _INGEST):
            os.unlink(orphan)
        for file in _files(self._retained, _RETAINED):
            # A mark without its blob, or bytes of a blob that came to be in another way.
            if file.name.endswith(WHOLE) != (self._blobs / file.name.removesuffix(WHOLE)).exists():
                os.unlink(file)

    async def ingest(self, ref: str) -> LocalIngest:
        """See ContentStore."""
        if ref in self._refs:
            raise Conflict(f"content {ref} is being written already")
        self._refs.add(ref)
        path = self._ingests / secrets.token_hex(16)
        return LocalIngest(ref, self._refs, path, self._blobs, self._unsettled)

    async def resume(self, digest: str, size: int) -> LocalResumableIngest:
        """See ContentStore."""
        name = check_digest(digest).removeprefix("sha256:")
        async with self._releasing:
            if digest in self._refs:
                raise Conflict(f"content {digest} is being written already")
            self._refs.add(digest)
        path = self._retained / name
        ingest = LocalResumableIngest(digest, size, self._refs, path, self._blobs, self._unsettled)
        try:
            await ingest.read_back()
        except BaseException:
            await ingest.suspend()
            raise
        return ingest

    async def retained(self) -> dict[str, Retained]:
        """See ContentStore."""
        return await asyncio.to_thread(self._kept)

    def _kept(self) -> dict[str, Retained]:
        now, found = time.time(), {}
        for file in _files(self._retained, _RETAINED):
            try:
                status = file.stat()
            except FileNotFoundError:  # released, or it became a blob
                continue
            digest = f"sha256:{file.name.removesuffix(WHOLE)}"
            found[digest] = Retained(age=now - status.st_mtime, size=status.st_size)
        return found

    async def release(self, digest: str) -> int:
        """See ContentStore."""
        name = check_digest(digest).removeprefix("sha256:")
        async with self._releasing:
            if digest in self._refs:
                return 0
            unlinking = asyncio.get_running_loop().run_in_executor(None, self._release, name)
            try:
                return await asyncio.shield(unlinking)
            except asyncio.CancelledError:
                await asyncio.wait([unlinking])
                raise

    def _release(self, name: str) -> int:
        (self._retained / (name + WHOLE)).unlink(missing_ok=True)
        return _remove(self._retained / name) or 0

    async def put(self, data: bytes, *, durable: bool = True) -> str:
        """See ContentStore."""
        async with await self.ingest(f"put-{secrets.token_hex(8)}") as ingest:
            await ingest.write(data)
            return (await ingest.commit(durable=durable)).digest

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

    async def missing(self, digests: Iterable[str]) -> set[str]:
        """See ContentStore."""
        paths = {digest: self.path(digest) for digest in digests}
        return await asyncio.to_thread(_missing_of, paths) if paths else set()

    async def exists(self, digest: str) -> bool:
        """See ContentStore."""
        return await asyncio.to_thread(self.path(digest).exists)

    async def size(self, digest: str) -> int:
        """See ContentStore."""
        try:
            return (await asyncio.to_thread(self.path(digest).stat)).st_size
        except FileNotFoundError:
            raise _missing(digest) from None

    async def is_sound(self, digest: str) -> bool:
        """See ContentStore."""
        return await asyncio.to_thread(_digest_of, self.path(digest), digest) == digest

    async def settle(self) -> None:
        """See ContentStore."""
        try:
            await asyncio.to_thread(self._unsettled.settle)
        except OSError as error:
            raise SystemFailure(f"cannot write content to the disk: {error.strerror}") from error

    async def delete(self, digest: str) -> int:
        """See ContentStore."""
        size = await asyncio.to_thread(self._delete, self.path(digest))
        if size is None:
            raise _missing(digest)
        return size

    def _delete(self, path: Path) -> int | None:
        size = _remove(path)
        if self._unsettled.has(path.name):
            self._unsettled.forget(path.name)
        return size

    async def walk(self) -> dict[str, int]:
        """See ContentStore."""
        return await asyncio.to_thread(self._blob_sizes)

    def _blob_sizes(self) -> dict[str, int]:
        found = sorted((file.name, _size(file)) for file in _files(self._blobs, _BLOB))
        return {f"sha256:{name}": size for name, size in found}

    async def unfinished(self) -> int:
        """See ContentStore."""
        return await asyncio.to_thread(self._unfinished)

    def _unfinished(self) -> int:
        written = [*_files(self._ingests, _INGEST), *_files(self._retained, _RETAINED)]
        return sum(_size(file) for file in written)


def _files(directory: Path, name: re.Pattern[str]) -> Iterator[os.DirEntry[str]]:
    """The files of a directory that are the store's."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if name.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                yield entry


def _size(file: os.DirEntry[str]) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # gone meanwhile
        return 0


def _remove(path: Path) -> int | None:
    """Remove a file: the bytes that it had, None if there is none."""
    try:
        size = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SystemFailure(f"cannot remove content {path.name}: {error.strerror}") from error
    return size


def _digest_of(path: Path, digest: str) -> str:
    try:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except FileNotFoundError:
        raise _missing(digest) from None


def _read(path: Path, digest: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise _missing(digest) from None


def _missing_of(paths: Mapping[str, Path]) -> set[str]:
    return {digest for digest, path in paths.items() if not path.exists()}


def _missing(digest: str) -> NotFound:
    return NotFound(f"content {digest}: not found")
