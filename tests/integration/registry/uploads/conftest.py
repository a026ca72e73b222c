"""A blob, and what sends it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.images.attempts import Attempts
from engine.images.reference import parse
from engine.images.uploading import Destination, Parcel, Sendings
from engine.progress import Message
from engine.registry.client import Registry
from engine.registry.credentials import Credentials
from runtime.content.local import LocalContentStore
from tests.integration.registry.uploads.parcel import BLOB, DIGEST, Send


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for another attempt."""

    async def at_once(self: object, seconds: float) -> None:
        del self, seconds

    monkeypatch.setattr(Attempts, "_wait", at_once)


@pytest.fixture
async def sendings(tmp_path: Path) -> Sendings:
    """Over a store with the blob."""
    content = await LocalContentStore.open(tmp_path / "content")
    await content.put(BLOB)
    return Sendings(content, at_once=3)


@pytest.fixture
async def send(sendings: Sendings, clients: Callable[..., Registry]) -> Send:
    """Send the blob into a repository; what its line of progress said, each once."""

    async def run(
        name: str, credentials: Credentials | None = None, sources: tuple[str, ...] = (), **settings: object
    ) -> list[str]:
        repository = clients(**settings).repository(parse(name), credentials, ("push", "pull"))
        destination = Destination(
            name=parse(name), credentials=credentials, uploads=await repository.uploads()
        )
        said: list[str] = []

        def note(message: Message) -> None:
            if message.status not in said:
                said.append(message.status)

        parcel = Parcel(shown="layer", digest=DIGEST, size=len(BLOB), sources=sources)
        async with sendings.send(destination, parcel, note):
            return said

    return run
