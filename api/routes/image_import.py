"""Images made of root file systems: sent with the request, or fetched from a URL."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Protocol

from api import web
from api.call import Call
from api.jsonstream import JSONStream
from api.lasting import while_connected
from engine.images.import_archive import default_platform
from engine.progress import Message, Progress
from engine.registry.download import Download, Source

_EVERY = 0.1  # seconds between two messages of what was fetched
_UNKNOWN = -1  # how a size that is not known is told


class Images(Protocol):
    """What is needed of the engine's images."""

    def require_name(self, repo: str, tag: str, /) -> object:
        """Refuse a name that no image may have."""

    async def import_(
        self,
        archive: AsyncIterator[bytes],
        /,
        *,
        repo: str,
        tag: str,
        message: str,
        changes: Sequence[str],
        platform: str,
    ) -> str:
        """Make an image of a root file system; returns its ID."""


class Registry(Protocol):
    """What is needed of who speaks to other hosts."""

    def download(self, source: Source, /) -> AbstractAsyncContextManager[Download]:
        """A file, while it is read."""


class ImageImport:
    """`POST /images/create?fromSrc=`."""

    def __init__(self, images: Images, registry: Registry) -> None:
        self._images = images
        self._registry = registry

    async def __call__(self, call: Call, platform: str) -> web.StreamResponse:
        """Make an image, and tell how far it is. What fails before the first message is answered by status."""
        stream = JSONStream(call)
        if call.query.text("fromSrc") != "-":
            return await self._of_source(call, platform, stream)
        try:
            await self._make(call, call.chunks(), "-", platform, stream)
        except Exception as error:  # noqa: BLE001 - the top frame of an import
            return await stream.fail(error, "image import")
        return await stream.end()

    async def _of_source(self, call: Call, platform: str, stream: JSONStream) -> web.StreamResponse:
        self._images.require_name(call.query.text("repo"), call.query.text("tag"))
        default_platform(platform)
        source = Source(call.query.text("fromSrc"))
        finished = False
        with while_connected(call.request):
            try:
                async with self._registry.download(source) as found:
                    await stream(Message(status=f"Downloading from {source.url}"))
                    await self._make(call, _counted(found, stream), source.text, platform, stream)
            except ConnectionError:
                raise
            except Exception as error:  # noqa: BLE001 - the top frame of an import
                return await stream.fail(error, "image import")
            finished = True
        if not finished:  # a client that is still there must not take the end of the stream for a success
            with suppress(ConnectionError):
                await stream(Message.failure("the daemon is shutting down: the import was given up"))
        return await stream.end()

    async def _make(
        self, call: Call, archive: AsyncIterator[bytes], source: str, platform: str, stream: JSONStream
    ) -> None:
        identifier = await self._images.import_(
            archive,
            repo=call.query.text("repo"),
            tag=call.query.text("tag"),
            message=call.query.text("message") or f"Imported from {source}",
            changes=call.query.all("changes"),
            platform=platform,
        )
        await stream(Message(status=identifier))


async def _counted(found: Download, progress: Progress) -> AsyncIterator[bytes]:
    """The bytes of a file, and a message now and then of how many there were."""
    total = _UNKNOWN if found.length is None else found.length
    got, told = 0, 0.0
    async for chunk in found.chunks():
        got += len(chunk)
        yield chunk
        now = time.monotonic()
        if got == total or now - told >= _EVERY:
            told = now
            await progress(Message.counted("", "Importing", got, total))
