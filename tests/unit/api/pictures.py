"""Images in memory, and where they come from and go to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import errdefs
from engine.filters import Filters
from engine.images.history import Step
from engine.images.image import Image
from engine.images.listing import Listed
from engine.images.platforms import Platform
from engine.images.remove import Removed
from engine.images.usage import Stored
from engine.progress import Message, Progress, ignore
from engine.registry.credentials import Credentials
from tests.unit.api.samples import CREATED, ID, IMAGE_ID, OTHER, SECOND, image


@dataclass
class MemoryPulls:
    """Pulls nothing; notes what is asked."""

    messages: list[Message] = field(default_factory=list)
    failure: Exception | None = None
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    async def pull(
        self, name: str, tag: str, *, platform: str, credentials: Credentials | None, progress: Progress
    ) -> None:
        self.calls.append((name, tag, platform, credentials))
        for message in self.messages:
            await progress(message)
        if self.failure is not None:
            raise self.failure


@dataclass
class MemoryPushes:
    """Pushes nothing; notes what is asked."""

    messages: list[Message] = field(default_factory=list)
    failure: Exception | None = None
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    async def push(
        self,
        name: str,
        tag: str,
        *,
        platform: Platform | None,
        credentials: Credentials | None,
        progress: Progress,
    ) -> None:
        self.calls.append((name, tag, platform, credentials))
        for message in self.messages:
            await progress(message)
        if self.failure is not None:
            raise self.failure


@dataclass
class MemoryImages:
    records: list[Image] = field(default_factory=lambda: [image()])
    uploaded: bytes = b""
    messages: list[Message] = field(default_factory=list)
    failure: Exception | None = None
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def get(self, reference: str) -> Image:
        for each in self.records:
            if reference in each.references or each.id == reference:
                return each
        raise errdefs.NotFound(f"No such image: {reference}:latest")

    def users(self, _: Image) -> list[str]:
        return [ID, OTHER]

    def list(self, _: Filters, *, all_images: bool = False) -> list[Listed]:
        self.calls.append(("list", all_images))
        return [
            Listed(
                image=each, references=each.references, digests=each.digests, users=[ID, OTHER], shared_size=0
            )
            for each in self.records
        ]

    async def stored(self) -> Stored:
        layers = {layer.chain_id: layer.size for each in self.records for layer in each.layers}
        blobs = {digest: size for each in self.records for digest, size in each.content.items()}
        return Stored(layers=layers, blobs=blobs)

    def history(self, reference: str) -> Sequence[Step]:
        self.get(reference)
        return [Step(created=CREATED // SECOND, created_by="sh", comment="made", size=7)]

    async def load(
        self, archive: AsyncIterator[bytes], *, quiet: bool, progress: Progress, wanted: Sequence[str]
    ) -> None:
        self.calls.append(("load", quiet, *wanted))
        await self._take(archive, progress)

    async def save(self, names: Sequence[str], wanted: Sequence[Platform]) -> AsyncIterator[bytes]:
        self.calls.append(("save", list(names), list(wanted)))
        for name in names:
            self.get(name)
        yield b"archive"
        if self.failure is not None:
            raise self.failure

    def require_name(self, repo: str, tag: str) -> object:
        return None

    async def import_(
        self,
        archive: AsyncIterator[bytes],
        *,
        repo: str,
        tag: str,
        message: str,
        changes: Sequence[str],
        platform: str,
    ) -> str:
        self.calls.append(("import", repo, tag, message, list(changes), platform))
        await self._take(archive, ignore)
        return IMAGE_ID

    async def _take(self, archive: AsyncIterator[bytes], progress: Progress) -> None:
        async for chunk in archive:
            self.uploaded += chunk
        for message in self.messages:
            await progress(message)
        if self.failure is not None:
            raise self.failure

    async def tag(self, reference: str, repo: str, tag: str) -> None:
        self.calls.append(("tag", self.get(reference).id, repo, tag))

    async def remove(self, reference: str, *, force: bool, prune: bool) -> Sequence[Removed]:
        self.calls.append(("remove", self.get(reference).id, force, prune))
        return [Removed(untagged=reference), Removed(deleted=IMAGE_ID)]
