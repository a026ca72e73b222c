"""Where images are fetched from: the repository of a registry, or what looks like one."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec


class Fetched(msgspec.Struct, frozen=True):
    """A manifest or an index: its bytes (b"" for a mere look), type, digest and size in bytes."""

    raw: bytes
    media_type: str
    digest: str
    size: int


class Chunks(Protocol):
    """What is left of a blob from `offset` on: the one that was asked for, or 0 where there is the whole blob only."""

    offset: int

    def __aiter__(self) -> AsyncIterator[bytes]:
        """So many bytes as were announced, or a failure."""


class Origin(Protocol):
    """What is needed of it. Failures are `errors.Transient` where another try may do."""

    async def manifest(self, reference_or_digest: str) -> Fetched:
        """What a tag or a digest names, verified."""

    async def head(self, reference_or_digest: str) -> Fetched:
        """The same, without its bytes."""

    def blob(self, digest: str, *, offset: int = 0, size: int) -> AbstractAsyncContextManager[Chunks]:
        """A blob of `size` bytes from `offset` on, not verified."""
