"""A registry client in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import errdefs
from engine.filters import Filters
from engine.images.reference import Reference
from engine.registry.credentials import Credentials
from engine.registry.download import Download, Source
from engine.registry.inspect import Inspected, OfferedPlatform
from engine.registry.search import Found

DIGEST = "sha256:" + "d" * 64


@dataclass
class MemoryRegistry:
    """Lets in who has the password "right", and notes what is asked."""

    asked: list[tuple[object, ...]] = field(default_factory=list)

    async def login(self, credentials: Credentials, server_address: str) -> str:
        self.asked.append(("login", credentials, server_address))
        if credentials.password != "right":
            raise errdefs.Unauthorized(
                'Get "https://r.example/v2/": unauthorized: incorrect username or password'
            )
        return "identity" if server_address else ""

    async def inspect(self, reference: Reference, credentials: Credentials | None) -> Inspected:
        self.asked.append(("inspect", reference.canonical, credentials))
        if reference.path.endswith("busy"):
            raise errdefs.TooManyRequests("toomanyrequests: slow down")
        platforms = [
            OfferedPlatform(architecture="amd64", os="linux"),
            OfferedPlatform(architecture="arm", os="linux", variant="v7", os_features=["f"], os_version="1"),
        ]
        kind = "application/vnd.oci.image.index.v1+json"
        return Inspected(kind, DIGEST, 1234, None if reference.digest else platforms)

    async def search(
        self, term: str, limit: int, wanted: Filters, credentials: Credentials | None
    ) -> list[Found]:
        self.asked.append(("search", term, limit, wanted.keys(), credentials))
        return [Found(name=term, description="d", star_count=limit, is_official=True)]

    @asynccontextmanager
    async def download(self, source: Source) -> AsyncIterator[Download]:
        self.asked.append(("download", str(source.url)))
        if source.url.host == "nowhere":
            raise errdefs.SystemFailure(f'Get "{source.url}": dial tcp: lookup nowhere: no such host')
        yield File(b"tar")


@dataclass
class File:
    """A file that is there already."""

    data: bytes

    @property
    def status(self) -> int:
        return 200

    @property
    def length(self) -> int:
        return len(self.data)

    def header(self, name: str) -> str:
        return ""

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self.data
