"""Directories of clients as they were last sent, so that the next build is sent what has changed alone.

Each is found again by what the client calls itself and the directory, belongs to one build at a time, and is a record
of the cache, which goes with the others. While one may change, and until that is on the disk, there is a mark beside
it, so that a start takes it for nothing. No mark waits for the disk: file systems keep the order of such changes.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

import errdefs
from engine import faults
from engine.build import leftovers
from engine.build.solver.records import LOCAL, CacheStore, Record, new_id
from engine.volumes.copy_up import size_of
from runtime.settled import settled, whole
from runtime.unsettled import sync_filesystem

STEPS = ("lent", "kept")  # where the crash tests kill a build
_MODE = 0o755


class Lent(msgspec.Struct):
    """A directory for one build: empty, or as it was before. `content` names what is in it, once that is kept."""

    path: Path
    record: Record
    content: str = ""
    kept: bool = False


class LocalSources:
    """All of them, below a directory that they share with cache mounts."""

    def __init__(self, store: CacheStore, directory: Path) -> None:
        """Made once for a daemon."""
        self._store = store
        self._directory = directory
        self._lent: set[str] = set()
        self._contents: dict[str, str] = {}  # by the directory's name
        self._unsettled: set[str] = set()  # directories that were kept, and are not on the disk
        self._settling: set[str] = set()
        self._one_settles = asyncio.Lock()
        self._marking = asyncio.Lock()  # a mark of who has a directory now is not taken away for who had it

    @asynccontextmanager
    async def lend(self, shared_key: str, name: str) -> AsyncGenerator[Lent, None]:
        """A client's directory for a block, nobody else's until then; it is gone after that if it was not kept.

        SystemFailure when the disk fails.
        """
        lent = self._claim(shared_key, name)
        try:
            with self._store.using([lent.record.id]):
                if lent.record.uses:
                    async with self._marking:
                        await settled(leftovers.mark, lent.path)
                else:
                    await settled(_make, lent.path)
                faults.hit("local.lent")
                yield lent
        finally:
            await whole(self._release(lent))

    async def keep(self, lent: Lent, *, changed: bool) -> None:
        """What was lent is whole: the next build may have it, and the record tells of it."""
        record = lent.record
        if changed or not record.uses:
            size = await asyncio.to_thread(size_of, str(lent.path))
            record = msgspec.structs.replace(record, size=size)
            self._unsettled.add(record.directory)
        elif record.directory not in self._unsettled | self._settling:
            await settled(leftovers.unmark, lent.path)
        if changed or record.directory not in self._contents:
            self._contents[record.directory] = secrets.token_hex(16)
        lent.content = self._contents[record.directory]
        lent.record = msgspec.structs.replace(record, used=time.time_ns(), uses=record.uses + 1)
        lent.kept = True
        if changed or not record.uses:
            self._store.add(lent.record)
        else:
            await self._store.touch(record.id)
        faults.hit("local.kept")

    async def settle(self) -> None:
        """Make durable what was kept. SystemFailure when the disk refuses."""
        async with self._one_settles:
            if not self._unsettled:
                return
            self._settling, self._unsettled = self._unsettled, set()
            try:
                await settled(sync_filesystem, self._directory)
            except OSError as error:
                self._unsettled |= self._settling
                raise errdefs.SystemFailure(f"cannot write contexts to the disk: {error.strerror}") from error
            finally:
                whole_again, self._settling = self._settling - self._unsettled, set()
            for name in whole_again:
                async with self._marking:
                    if name not in self._lent | self._unsettled:
                        await settled(leftovers.unmark, self._directory / name)

    def _claim(self, shared_key: str, name: str) -> Lent:
        """The one that was used last of those that nobody has, or a new one."""
        told = hashlib.sha256(repr((shared_key, name)).encode(errors="surrogateescape")).hexdigest()
        purpose = f"local-{told[:32]}-"
        free = [
            each
            for each in self._store.all()
            if each.directory.startswith(purpose) and each.directory not in self._lent
        ]
        record = max(free, key=lambda each: each.used, default=None)
        record = record or _record(f"{purpose}{secrets.token_hex(4)}", name)
        self._lent.add(record.directory)
        return Lent(self._directory / record.directory, record)

    async def _release(self, lent: Lent) -> None:
        record = lent.record
        try:
            if not lent.kept or self._store.get(record.id) is None:  # it failed, or was pruned meanwhile
                self._contents.pop(record.directory, None)
                if record.uses:
                    await self._store.remove([record.id])
                await settled(leftovers.remove, lent.path)
        finally:
            self._lent.discard(record.directory)


def _record(directory: str, name: str) -> Record:
    """That of a directory which nobody has used yet."""
    now = time.time_ns()
    return Record(
        id=new_id(),
        kind=LOCAL,
        description=f"local source for {name}",
        directory=directory,
        created=now,
        used=now,
        uses=0,
    )


def _make(directory: Path) -> None:
    try:
        directory.mkdir()
        directory.chmod(_MODE)
    except OSError as error:
        raise errdefs.SystemFailure(f"cannot make a directory for a context: {error.strerror}") from error
