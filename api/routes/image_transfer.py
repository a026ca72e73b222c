"""Images on their way: pulled from registries and pushed to them, imported."""

import contextlib
from collections.abc import Coroutine
from typing import Any, Protocol

from api import web
from api.call import Call
from api.jsonstream import JSONStream
from api.lasting import while_connected
from api.routes.image_import import ImageImport
from api.routing import Route
from api.schema import platforms
from engine.images.platforms import Platform
from engine.progress import Message, Progress
from engine.registry import credentials
from engine.registry.credentials import Credentials


class Pulls(Protocol):
    """What these routes need to pull."""

    def pull(
        self,
        name: str,
        tag: str,
        /,
        *,
        platform: str,
        credentials: Credentials | None,
        progress: Progress,
    ) -> Coroutine[Any, Any, None]:
        """Pull an image, or all tags of a repository."""


class Pushes(Protocol):
    """What these routes need to push."""

    def push(
        self,
        name: str,
        tag: str,
        /,
        *,
        platform: Platform | None,
        credentials: Credentials | None,
        progress: Progress,
    ) -> Coroutine[Any, Any, None]:
        """Push an image, or all tags of a repository."""


class ImageTransferRoutes:
    """Routes that move images."""

    def __init__(self, pulls: Pulls, pushes: Pushes, image_import: ImageImport) -> None:
        self._pulls = pulls
        self._pushes = pushes
        self._import = image_import

    def routes(self) -> list[Route]:
        """The table."""
        return [
            Route("POST", "/images/create", self.create),
            Route("POST", "/images/{name}/push", self.push),
        ]

    async def create(self, call: Call) -> web.StreamResponse:
        """An image from a registry, or from a root file system."""
        if call.query.text("fromImage"):
            return await self._pull(call)
        return await self._import(call, _platform(call))

    async def _pull(self, call: Call) -> web.StreamResponse:
        stream = JSONStream(call)
        work = self._pulls.pull(
            call.query.text("fromImage"),
            call.query.text("tag"),
            platform=_platform(call),
            credentials=_credentials(call),
            progress=stream,
        )
        return await _told(call, stream, work, "pull")

    async def push(self, call: Call) -> web.StreamResponse:
        """An image, or all of a repository, into a registry."""
        stream = JSONStream(call)
        work = self._pushes.push(
            call.name,
            call.query.text("tag"),
            platform=platforms.one(call.query.text("platform"), call.version, "1.46"),
            credentials=_credentials(call),
            progress=stream,
        )
        return await _told(call, stream, work, "push")


async def _told(
    call: Call, stream: JSONStream, work: Coroutine[Any, Any, None], what: str
) -> web.StreamResponse:
    """Work with its client: it ends when that goes, and its failures travel in the stream once that has begun."""
    finished = False
    with while_connected(call.request):
        try:
            await work
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - the top frame of a pull or push
            return await stream.fail(error, f"image {what}")
        finished = True
    if not finished:  # a client that is still there must not take the end of the stream for a success
        with contextlib.suppress(ConnectionError):
            await stream(Message.failure(f"the daemon is shutting down: the {what} was given up"))
    return await stream.end()


def _credentials(call: Call) -> Credentials | None:
    return credentials.decode_or_none(call.request.headers.get("X-Registry-Auth", ""))


def _platform(call: Call) -> str:
    return "" if call.version.before("1.32") else call.query.text("platform")
