"""Writes in progress of the content store in a directory: each a file that becomes a blob, or goes, or stays."""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Self

from errdefs import InvalidArgument, SystemFailure
from runtime.content.store import Descriptor, check_digest
from runtime.unsettled import Unsettled, sync_directory

WHOLE = ".whole"
"""Ends the name of the mark of a blob that is there and retained."""
_CHUNK = 1 << 20  # bytes that are gathered before a thread hashes and writes them
_PIECES = 256  # and pieces, which may be smaller than what is kept of each


class LocalIngest:
    """See runtime.content.store.Ingest. One writer at a time."""

    def __init__(self, ref: str, refs: set[str], path: Path, blobs: Path, unsettled: Unsettled) -> None:
        """Begun by LocalContentStore.ingest; the file is made with the first bytes."""
        self._ref = ref
        self._refs = refs
        self._path = path
        self._fd = -1
        self._blobs = blobs
        self._unsettled = unsettled
        self._pending: list[bytes] = []
        self._waiting = 0  # bytes in `_pending`
        self._hash = hashlib.sha256()
        self._size = 0
        self._filled: Descriptor | None = None
        self._open = True
        self._running: asyncio.Future[None] | None = None

    async def write(self, data: bytes) -> None:
        """See Ingest."""
        self._pending.append(data)
        self._waiting += len(data)
        if self._waiting >= _CHUNK or len(self._pending) >= _PIECES:
            await self._flush()

    async def _flush(self) -> None:
        pieces, self._pending = self._pending, []
        self._waiting = 0
        await self._in_thread(self._append, pieces)

    async def _in_thread(self, step: Callable[..., None], *arguments: object) -> None:
        """Run a step that outlives our cancellation: the descriptor may be closed only after it."""
        self._running = asyncio.get_running_loop().run_in_executor(None, step, *arguments)
        await asyncio.shield(self._running)

    def _append(self, pieces: list[bytes]) -> None:
        """Never joined: copies of many megabytes cost as much as what is done with them."""
        try:
            self._make()
            for piece in pieces:
                self._hash.update(piece)
                self._size += len(piece)
                view = memoryview(piece)
                while view:
                    view = view[os.write(self._fd, view) :]
        except OSError as error:
            raise SystemFailure(f"cannot store content {self._ref}: {error.strerror}") from error

    def _make(self) -> None:
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)

    async def follow(self) -> int:
        """See Ingest."""
        try:
            await self._in_thread(self._make)
            return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SystemFailure(f"cannot store content {self._ref}: {error.strerror}") from error

    async def fill(self, write: Callable[[int], Awaitable[Descriptor]]) -> None:
        """See Ingest."""
        await self._in_thread(self._make)
        self._filled = await write(self._fd)

    async def commit(
        self, *, expected_digest: str | None = None, expected_size: int | None = None, durable: bool = True
    ) -> Descriptor:
        """See Ingest."""
        await self._flush()
        found = self._filled or Descriptor(digest=f"sha256:{self._hash.hexdigest()}", size=self._size)
        if expected_size is not None and expected_size != found.size:
            raise InvalidArgument(f"unexpected size of {self._ref}: {found.size}, expected {expected_size}")
        if expected_digest is not None and check_digest(expected_digest) != found.digest:
            raise InvalidArgument(
                f"unexpected digest of {self._ref}: {found.digest}, expected {expected_digest}"
            )
        await self._in_thread(self._publish if durable else self._publish_later, found.digest)
        self._close()
        return found

    def _publish(self, digest: str) -> None:
        name = digest.removeprefix("sha256:")
        try:
            os.fsync(self._fd)
            os.rename(self._path, self._blobs / name)
            sync_directory(self._blobs)
            if self._unsettled.has(name):
                self._unsettled.forget(name)
        except OSError as error:
            raise SystemFailure(f"cannot store content {self._ref}: {error.strerror}") from error

    def _publish_later(self, digest: str) -> None:
        name = digest.removeprefix("sha256:")
        try:
            if (self._blobs / name).exists():  # it may be durable, and stays so
                self._path.unlink()
                return
            self._unsettled.mark(name)
            os.rename(self._path, self._blobs / name)
        except OSError as error:
            raise SystemFailure(f"cannot store content {self._ref}: {error.strerror}") from error
        self._unsettled.named(name)

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

    def __init__(
        self, digest: str, size: int, refs: set[str], path: Path, blobs: Path, unsettled: Unsettled
    ) -> None:
        """Begun by LocalContentStore.resume, which has `read_back` called."""
        super().__init__(digest, refs, path, blobs, unsettled)
        self._wanted = Descriptor(digest=digest, size=size)

    @property
    def offset(self) -> int:
        """See ResumableIngest."""
        return self._size + self._waiting

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
        self._pending, self._waiting = [], 0
        await self._in_thread(self._truncate)

    def _truncate(self) -> None:
        self._hash, self._size = hashlib.sha256(), 0
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)

    async def commit(
        self, *, expected_digest: str | None = None, expected_size: int | None = None, durable: bool = True
    ) -> Descriptor:
        """See Ingest. Bytes that are not the blob's are dropped."""
        try:
            return await super().commit(
                expected_digest=expected_digest or self._wanted.digest,
                expected_size=self._wanted.size if expected_size is None else expected_size,
                durable=durable,
            )
        except InvalidArgument:
            await self.abort()
            raise

    def _publish(self, digest: str) -> None:
        try:
            self._path.with_name(self._path.name + WHOLE).touch()
        except OSError as error:
            raise SystemFailure(f"cannot store content {self._ref}: {error.strerror}") from error
        super()._publish(digest)

    async def suspend(self) -> None:
        """See ResumableIngest. However often it is cancelled, the ref is free afterwards."""
        if not self._open:
            return
        ending = asyncio.get_running_loop().create_task(self._suspend())
        cancelled = False
        while not ending.done():
            try:
                await asyncio.wait([ending])
            except asyncio.CancelledError:
                cancelled = True
        ending.result()
        if cancelled:
            raise asyncio.CancelledError

    async def _suspend(self) -> None:
        try:
            if self._running:
                await asyncio.wait([self._running])
            await self._flush()
        except SystemFailure:
            pass  # what could be written is kept
        self._end(self._keep)

    async def __aexit__(self, *error: object) -> None:
        """Suspend unless committed."""
        await self.suspend()
