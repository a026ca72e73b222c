"""Blobs into registries: sent once for all pushes that want them there, gone on with where they broke off."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec

import errdefs
from engine import faults
from engine.images.attempts import Attempts, Slots
from engine.images.reference import Reference
from engine.images.sharing import Report, Sharing
from engine.registry.credentials import Credentials
from engine.registry.errors import Transient
from engine.registry.upload import Content, Upload
from engine.registry.uploads import Uploads
from runtime.content.store import ContentStore

STEPS = ("begun", "part", "blob")  # where the crash tests kill a push
ATTEMPTS = 5
"""In which a blob is sent, not counting those that brought something; as dockerd has it."""

_CHUNK = 1 << 20  # bytes read at once
_SLICE = 128 << 10  # bytes given on at once: each has a minute to be taken


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """A repository that is pushed to, by whom, and its write side."""

    name: Reference
    credentials: Credentials | None
    uploads: Uploads


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """A blob to be sent, and the repositories of the registry that have it. `shown` names its line of progress."""

    shown: str
    digest: str
    size: int
    sources: Sequence[str] = ()


class Sendings:
    """All blobs of a daemon that are on their way into registries."""

    def __init__(self, content: ContentStore, *, at_once: int) -> None:
        self._content = content
        self._sharing: Sharing[None] = Sharing()
        self.configure(at_once=at_once)

    def configure(self, *, at_once: int) -> None:
        """Send so many blobs at once (0: all) from now on."""
        self._slots = Slots(at_once)

    def send(
        self, destination: Destination, parcel: Parcel, report: Report
    ) -> AbstractAsyncContextManager[None]:
        """Have a blob, which the caller holds, in a repository.

        Only for the same credentials it is done for several. Failures in the registry's words, Transient after
        all attempts.
        """
        key = f"{destination.name.name} {parcel.digest} {hash(destination.credentials)}"
        return self._sharing.join(key, lambda tell: self._sent(destination, parcel, tell), report)

    @asynccontextmanager
    async def _sent(self, destination: Destination, parcel: Parcel, tell: Report) -> AsyncIterator[None]:
        async with self._slots.one(parcel.shown, tell):
            await _Sending(self._content, destination, parcel, tell).run()
        faults.hit("push.blob")
        yield


class _Sending:
    """One blob on its way."""

    def __init__(self, content: ContentStore, destination: Destination, parcel: Parcel, tell: Report) -> None:
        self._path = content.path(parcel.digest)
        self._parcel = parcel
        self._uploads = destination.uploads
        self._attempts = Attempts(f"upload of {parcel.digest}", parcel.shown, parcel.size, ATTEMPTS, tell)

    async def run(self) -> None:
        parcel = self._parcel
        content = Content(parcel.digest, parcel.size, self._read)
        upload = self._uploads.upload(content, parcel.sources)
        while True:
            before = upload.kept
            try:
                await self._attempt(upload)
                return
            except Transient as failure:
                await self._attempts.another(failure, upload.kept - before)

    async def _attempt(self, upload: Upload) -> None:
        """Send it unless it is there, also by an attempt of which the answer was lost."""
        if await self._uploads.exists(self._parcel.digest):
            self._attempts.step("Layer already exists")
            return
        faults.hit("push.begun")
        await upload.attempt()
        self._attempts.step(f"Mounted from {upload.source}" if upload.source else "Pushed")

    async def _read(self, begin: int, size: int) -> AsyncIterator[bytes]:
        """The blob's bytes as they are sent, and told of.

        No file is open in between: nobody ends this where a request breaks off.
        """
        end = begin + size
        while begin < end:
            chunk = await asyncio.to_thread(self._read_at, begin, min(end - begin, _CHUNK))
            for at in range(0, len(chunk), _SLICE):
                yield chunk[at : at + _SLICE]
                self._attempts.count("Pushing", begin + min(at + _SLICE, len(chunk)))
            begin += len(chunk)
            faults.hit("push.part")

    def _read_at(self, begin: int, size: int) -> bytes:
        digest = self._parcel.digest
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                chunk = os.pread(fd, size, begin)
            finally:
                os.close(fd)
        except OSError as error:
            raise errdefs.SystemFailure(f"cannot read the blob {digest}: {error.strerror}") from error
        if not chunk:
            raise errdefs.SystemFailure(f"the blob {digest} is shorter than it was")
        return chunk
