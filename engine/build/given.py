"""The client of the classic API as a session: it gave credentials with its request, and has nothing else to give."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import errdefs
from engine.build import session
from engine.build.session import Meter, Wanted
from engine.registry.credentials import Credentials

_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_HUB_KEY = "https://index.docker.io/v1/"


class GivenCredentials:
    """A `Session` that knows registries by what clients call them: "https://index.docker.io/v1/", "localhost:5000"."""

    def __init__(self, known: Mapping[str, Credentials]) -> None:
        self._known = {_host(name): each for name, each in known.items()}

    async def credentials(self, host: str) -> session.Credentials | None:
        """What was given for a registry."""
        found = self._known.get(_host(_HUB_KEY) if host in _HUB else host)
        if found is None:
            return None
        if found.identity_token:
            return session.Credentials(secret=found.identity_token)
        return session.Credentials(username=found.username, secret=found.password)

    shared_key = ""

    async def receive(self, name: str, into: Path, wanted: Wanted, meter: Meter) -> bool:
        """NotFound."""
        del into, wanted, meter
        raise _nothing(f"directory {name}")

    async def upload(self, url: str) -> AsyncIterator[bytes]:
        """NotFound."""
        raise _nothing(url)

    async def secret(self, name: str) -> bytes:
        """NotFound."""
        raise _nothing(f"secret {name}")

    async def agent(self, name: str) -> bool:
        """None is forwarded."""
        del name
        return False

    async def forward_agent(
        self, name: str, read: Callable[[], Awaitable[bytes]], write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """NotFound."""
        del read, write
        raise _nothing(f"agent {name}")

    async def send_directory(self, exporter: str, directory: Path, meter: Meter) -> None:
        """NotFound."""
        del exporter, meter
        raise _nothing(f"place for {directory.name}")

    async def send_file(
        self, exporter: str, chunks: AsyncIterator[bytes], metadata: dict[str, str], meter: Meter
    ) -> None:
        """NotFound."""
        del exporter, chunks, metadata, meter
        raise _nothing("place for a file")

    async def read_content(self, store: str, digest: str) -> AsyncIterator[bytes]:
        """NotFound."""
        raise _nothing(f"{digest} of {store}")

    async def write_content(self, store: str, digest: str, size: int, chunks: AsyncIterator[bytes]) -> None:
        """NotFound."""
        del digest, size, chunks
        raise _nothing(store)


def _host(name: str) -> str:
    """A registry's host, which some clients write as a URL."""
    return name.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _nothing(what: str) -> errdefs.NotFound:
    return errdefs.NotFound(f"{what} not found: a build of the classic API has no session (BuildKit has)")
