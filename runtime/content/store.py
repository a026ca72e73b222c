"""The contract of a content store: immutable blobs by the digest of their bytes.

Vocabulary: a *blob* is a run of bytes that never changes; its *digest* is "sha256:" and 64 hex digits. An
*ingest* is a write in progress, under a *ref*: a name the writer chooses ("layer-sha256:…", "import-…"),
so that two writers of the same thing notice each other. A *descriptor* is a blob's digest and size.

Life cycle: bytes become a blob at once or not at all. `ingest` opens a write, `write` appends, `commit`
verifies what was promised, makes the bytes durable and gives them their name; a blob that is already
there is kept and the new bytes are dropped. An ingest that is not committed leaves nothing, not even
after a crash. Blobs are never changed; `delete` is for whoever knows that nothing refers to one any more:
the store keeps no references.

A *resumable* ingest, begun by `resume`, writes a blob of which digest and size are known beforehand, as of
a download. What it wrote stays when it ends without a commit or when the daemon is killed, and the next
`resume` of that digest goes on from there; bytes that turn out wrong are dropped. `retained` tells of such
bytes, and of blobs that were made of them, until `release` says that nobody will come for them.

    async with await store.ingest("layer-sha256:9f86…") as ingest:
        async for chunk in response:
            await ingest.write(chunk)
        layer = await ingest.commit(expected_digest="sha256:9f86…", expected_size=4096)
    path = store.path(layer.digest)
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Protocol, Self

import msgspec

from errdefs import InvalidArgument

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Descriptor(msgspec.Struct, frozen=True, kw_only=True):
    """What a committed blob is: its digest, and its size in bytes."""

    digest: str
    size: int


class Retained(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a resumable ingest: seconds since the last change, and the bytes that are no blob yet."""

    age: float
    size: int


class Ingest(Protocol):
    """A write in progress. As an async context manager it aborts unless it was committed."""

    async def write(self, data: bytes) -> None:
        """Append bytes; SystemFailure when the disk refuses."""

    async def follow(self) -> int:
        """Return a descriptor, for the caller to close, that reads what was stored up to now, and later the rest."""

    async def fill(self, write: Callable[[int], Awaitable[Descriptor]]) -> None:
        """Have all of it written by a descriptor, instead of `write`; whoever does that tells what it wrote."""

    async def commit(
        self, *, expected_digest: str | None = None, expected_size: int | None = None, durable: bool = True
    ) -> Descriptor:
        """Make a blob of what was written, durably, or so that the host's crash removes it until the store is settled.

        InvalidArgument when it is not what was promised.
        """

    async def abort(self) -> None:
        """Drop what was written and free the ref; nothing after a commit or a former abort."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *error: object) -> None: ...


class ResumableIngest(Ingest, Protocol):
    """A write that can be gone on with. As an async context manager it is suspended unless it was committed."""

    @property
    def offset(self) -> int:
        """How many bytes of the blob were written up to now, by former writers, too."""

    async def restart(self) -> None:
        """Drop what was written and begin anew."""

    async def suspend(self) -> None:
        """Keep what was written and free the ref; nothing after a commit, an abort or a former suspension."""

    async def __aenter__(self) -> Self: ...


class ContentStore(Protocol):
    """Blobs by digest; see the module for vocabulary and life cycle.

    A digest that is none is an InvalidArgument, a blob that is not there a NotFound.
    """

    async def ingest(self, ref: str) -> Ingest:
        """Begin a write; Conflict when one under the same ref is in progress."""

    async def resume(self, digest: str, size: int) -> ResumableIngest:
        """Begin the write of this blob, or go on with it; Conflict when one of it is in progress."""

    async def retained(self) -> dict[str, Retained]:
        """Return the digests that resumable ingests were begun for and not released."""

    async def release(self, digest: str) -> int:
        """Retain it no longer: what is written of it is dropped unless a writer is at it, a blob of it stays.

        Return the bytes that were dropped.
        """

    async def put(self, data: bytes, *, durable: bool = True) -> str:
        """Store a small blob and return its digest; see `Ingest.commit`."""

    async def read(self, digest: str, limit: int = 4 << 20) -> bytes:
        """Return a blob's bytes; InvalidArgument when there are more than `limit`."""

    def path(self, digest: str) -> Path:
        """Return where the blob's file is, or would be; it must never be written to."""

    async def missing(self, digests: Iterable[str]) -> set[str]:
        """Those of these blobs that are not there; one look for all."""

    async def exists(self, digest: str) -> bool:
        """Tell whether the blob is there."""

    async def size(self, digest: str) -> int:
        """Return the blob's size in bytes."""

    async def is_sound(self, digest: str) -> bool:
        """Read a blob, and tell whether its bytes are those that its digest says."""

    async def settle(self) -> None:
        """Make durable the blobs that were committed without; before anything durable refers to them."""

    async def delete(self, digest: str) -> int:
        """Remove a blob and return its size in bytes. Who has its file open reads on."""

    async def walk(self) -> dict[str, int]:
        """Return the digests of all blobs, sorted, each with its size in bytes."""

    async def unfinished(self) -> int:
        """Return the bytes of all that is not a blob yet."""


def check_digest(digest: str) -> str:
    """Return the digest, or raise InvalidArgument when it is not "sha256:" and 64 hex digits."""
    if not _DIGEST.fullmatch(digest):
        raise InvalidArgument(f"invalid digest {digest!r}: want sha256: and 64 hex digits")
    return digest
