"""A content store in a directory, private to root.

Blobs are in `blobs/sha256/<hex>`, ingests in `ingests/<random>`, what is written of resumable ones in `retained/<hex>`;
an empty `retained/<hex>.whole` says that the blob is there and retained.
"""

import asyncio
import hashlib
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from errdefs import Conflict, InvalidArgument, NotFound, SystemFailure
from runtime.content.store import Descriptor, check_digest

_CHUNK = 1 << 20  # what is gathered before a thread hashes and writes it
_WHOLE = ".whole"


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
            if file.name.endswith(_WHOLE) != (self._blobs / file.name.removesuffix(_WHOLE)).exists():
                file.unlink()

    async def ingest(self, ref: str) -> "LocalIngest":
        """See ContentStore."""
        if ref in self._refs:
            raise Conflict(f"content {ref} is being written already")
        self._refs.add(ref)
        return LocalIngest(ref, self._refs, self._ingests / secrets.token_hex(16), self._blobs)

    async def resume(self, digest: str, size: int) -> "LocalResumableIngest":
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
            f"sha256:{entry.name.removesuffix(_WHOLE)}": now - entry.stat().st_mtime
            for entry in os.scandir(self._retained)
        }

    async def release(self, digest: str) -> None:
        """See ContentStore."""
        name = check_digest(digest).removeprefix("sha256:")
        if digest not in self._refs:
            (self._retained / name).unlink(missing_ok=True)
            (self._retained / (name + _WHOLE)).unlink(missing_ok=True)

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
        self._end(self._drop)

    def _end(self, how: Callable[[asyncio.Future[None] | None], None]) -> None:
        """End it once the step that is at work has come to its end."""
        if not self._open:
            return
        if self._running and not self._running.done():
            self._running.add_done_callback(how)
        else:
            how(None)

    def _drop(self, step: asyncio.Future[None] | None) -> None:
        self._keep(step)
        self._path.unlink(missing_ok=True)

    def _keep(self, step: asyncio.Future[None] | None) -> None:
        if step and not step.cancelled():
            step.exception()  # asked for, so that asyncio does not complain that nobody did
        self._close()

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


class LocalResumableIngest(LocalIngest):
    """See runtime.content.store.ResumableIngest. One writer at a time."""

    def __init__(self, digest: str, size: int, refs: set[str], path: Path, blobs: Path) -> None:
        """Begun by LocalContentStore.resume, which has `read_back` called."""
        super().__init__(digest, refs, path, blobs)
        self._wanted = Descriptor(digest=digest, size=size)

    @property
    def offset(self) -> int:
        """See ResumableIngest."""
        return self._size + len(self._pending)

    async def read_back(self) -> None:
        """Take over what a former writer left."""
        await self._in_thread(self._read_back)

    def _read_back(self) -> None:
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            if os.fstat(self._fd).st_size > self._wanted.size:
                os.ftruncate(self._fd, 0)
            while data := os.read(self._fd, _CHUNK):
                self._hash.update(data)
                self._size += len(data)
        except OSError as error:
            raise SystemFailure(f"cannot read content {self._ref}: {error.strerror}") from error

    async def restart(self) -> None:
        """See ResumableIngest."""
        self._pending.clear()
        await self._in_thread(self._truncate)

    def _truncate(self) -> None:
        self._hash, self._size = hashlib.sha256(), 0
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)

    async def commit(
        self, *, expected_digest: str | None = None, expected_size: int | None = None
    ) -> Descriptor:
        """See Ingest. Bytes that are not the blob's are dropped."""
        try:
            return await super().commit(
                expected_digest=expected_digest or self._wanted.digest,
                expected_size=self._wanted.size if expected_size is None else expected_size,
            )
        except InvalidArgument:
            await self.abort()
            raise

    def _publish(self, digest: str) -> None:
        try:
            self._path.with_name(self._path.name + _WHOLE).touch()
        except OSError as error:
            raise SystemFailure(f"cannot store content {self._ref}: {error.strerror}") from error
        super()._publish(digest)

    async def suspend(self) -> None:
        """See ResumableIngest."""
        if not self._open:
            return
        try:
            if self._running:
                await asyncio.wait([self._running])
            await self._flush()
        except SystemFailure:
            pass  # what could be written is kept
        finally:
            self._end(self._keep)

    async def __aexit__(self, *error: object) -> None:
        """Suspend unless committed."""
        await self.suspend()


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
