"""A content store in a directory: `blobs/sha256/<hex>` and `ingests/<random>`, both private to root."""

import asyncio
import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Self

from errdefs import Conflict, InvalidArgument, NotFound, SystemFailure
from runtime.content.store import Descriptor, check_digest

_CHUNK = 1 << 20  # what is gathered before a thread hashes and writes it


class LocalContentStore:
    """See runtime.content.store.ContentStore."""

    def __init__(self, root: Path) -> None:
        """Use `open`."""
        self._blobs = root / "blobs" / "sha256"
        self._ingests = root / "ingests"
        self._refs: set[str] = set()

    @classmethod
    async def open(cls, root: Path) -> Self:
        """Open the store at `root`, made if need be; unfinished ingests of a former run are removed."""
        store = cls(root)
        await asyncio.to_thread(store._prepare)
        return store

    def _prepare(self) -> None:
        for directory in (self._ingests.parent, self._ingests, self._blobs.parent, self._blobs):
            directory.mkdir(exist_ok=True, mode=0o700)
        for orphan in self._ingests.iterdir():
            orphan.unlink()

    async def ingest(self, ref: str) -> "LocalIngest":
        """See ContentStore."""
        if ref in self._refs:
            raise Conflict(f"content {ref} is being written already")
        self._refs.add(ref)
        return LocalIngest(ref, self._refs, self._ingests / secrets.token_hex(16), self._blobs)

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


class LocalIngest:
    """See runtime.content.store.Ingest. One writer at a time."""

    def __init__(self, ref: str, refs: set[str], path: Path, blobs: Path) -> None:
        """Begun by LocalContentStore.ingest; the file is made with the first bytes."""
        self._ref = ref
        self._refs = refs
        self._path = path
        self._fd = -1
        self._blobs = blobs
        self._pending = bytearray()
        self._hash = hashlib.sha256()
        self._size = 0
        self._open = True
        self._running: asyncio.Future[None] | None = None

    async def write(self, data: bytes) -> None:
        """See Ingest."""
        self._pending += data
        if len(self._pending) >= _CHUNK:
            await self._flush()

    async def _flush(self) -> None:
        data, self._pending = self._pending, bytearray()
        await self._in_thread(self._append, data)

    async def _in_thread(self, step: Callable[..., None], *arguments: object) -> None:
        """Run a step that outlives our cancellation: the descriptor may be closed only after it."""
        self._running = asyncio.get_running_loop().run_in_executor(None, step, *arguments)
        await asyncio.shield(self._running)

    def _append(self, data: bytearray) -> None:
        self._hash.update(data)
        self._size += len(data)
        view = memoryview(data)
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            raise SystemFailure(f"cannot store content {self._ref}: {error.strerror}") from error

    async def commit(
        self, *, expected_digest: str | None = None, expected_size: int | None = None
    ) -> Descriptor:
        """See Ingest."""
        await self._flush()
        found = Descriptor(digest=f"sha256:{self._hash.hexdigest()}", size=self._size)
        if expected_size is not None and expected_size != found.size:
            raise InvalidArgument(f"unexpected size of {self._ref}: {found.size}, expected {expected_size}")
        if expected_digest is not None and check_digest(expected_digest) != found.digest:
            raise InvalidArgument(
                f"unexpected digest of {self._ref}: {found.digest}, expected {expected_digest}"
            )
        await self._in_thread(self._publish, found.digest)
        self._close()
        return found

    def _publish(self, digest: str) -> None:
        try:
            os.fsync(self._fd)
            os.rename(self._path, self._blobs / digest.removeprefix("sha256:"))
            _sync_directory(self._blobs)
        except OSError as error:
            raise SystemFailure(f"cannot store content {self._ref}: {error.strerror}") from error

    async def abort(self) -> None:
        """See Ingest."""
        if not self._open:
            return
        if self._running and not self._running.done():
            self._running.add_done_callback(self._drop)
        else:
            self._drop(None)

    def _drop(self, step: asyncio.Future[None] | None) -> None:
        if step and not step.cancelled():
            step.exception()  # asked for, so that asyncio does not complain that nobody did
        self._close()
        self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        self._open = False
        if self._fd >= 0:
            os.close(self._fd)
        self._refs.discard(self._ref)

    async def __aenter__(self) -> Self:
        """Nothing more to open."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Abort unless committed."""
        await self.abort()


def _read(path: Path, digest: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise _missing(digest) from None


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _missing(digest: str) -> NotFound:
    return NotFound(f"content {digest}: not found")
