"""What a build asks of its client while it goes on: files, secrets, agents, credentials, and where results go.

buildx serves this over its session. Builds of the classic API have no session: `None`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from engine.veiled import Veiled

Meter = Callable[[int], Awaitable[None]]
"""Told how many bytes have come so far."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which files of a client's directory: patterns of .dockerignore's kind, and paths whose links are followed."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    follow: Sequence[str] = ()


class Credentials(Veiled, frozen=True, kw_only=True):
    """Of a registry; a `username` "" with a secret is an identity token."""

    username: str = ""
    secret: str = ""


class Session(Protocol):
    """One client. Unavailable once it has gone."""

    @property
    def shared_key(self) -> str:
        """The same for each build of the same directories by the same client; "" if it does not say."""

    async def receive(self, name: str, into: Path, wanted: Wanted, meter: Meter) -> bool:
        """Make `into` what a directory of the client is (`context`, `dockerfile`, a named one); whether it changed.

        It is empty, or has what an earlier call left: what is the same is not sent again. After a failure it has
        something of both. NotFound for one that the client does not have.
        """

    async def upload(self, url: str) -> AsyncIterator[bytes]:
        """What the client gives at a URL of its session: a context that was piped into it."""

    async def secret(self, name: str) -> bytes:
        """NotFound for one that the client does not have."""

    async def agent(self, name: str) -> bool:
        """Whether the client forwards that SSH agent."""

    async def forward_agent(
        self, name: str, read: Callable[[], Awaitable[bytes]], write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Carry one connection to an agent until either side ends it; b"" from `read` is that end."""

    async def credentials(self, host: str) -> Credentials | None:
        """What the client has for a registry, None for nothing."""

    async def send_directory(self, exporter: str, directory: Path, meter: Meter) -> None:
        """Write a directory's tree to where the client wants an exporter's result."""

    async def send_file(
        self, exporter: str, chunks: AsyncIterator[bytes], metadata: dict[str, str], meter: Meter
    ) -> None:
        """Write one file there."""

    async def read_content(self, store: str, digest: str) -> AsyncIterator[bytes]:
        """A blob of a content store of the client ("local:<directory>"). NotFound if it has none."""

    async def write_content(self, store: str, digest: str, size: int, chunks: AsyncIterator[bytes]) -> None:
        """Have a blob in such a store; one that is there already is left."""
