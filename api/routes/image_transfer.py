"""Images on their way: pulled from registries, imported."""

import contextlib
from typing import Protocol

from aiohttp import web

from api.call import Call
from api.connection import while_connected
from api.jsonstream import JSONStream
from api.routes.image_import import ImageImport
from api.routing import Route
from engine.progress import Message, Progress
from engine.registry import credentials
from engine.registry.credentials import Credentials


class Pulls(Protocol):
    """What these routes need to pull."""

    async def pull(
        self,
        name: str,
        tag: str,
        /,
        *,
        platform: str,
        credentials: Credentials | None,
        progress: Progress,
    ) -> None:
        """Pull an image, or all tags of a repository."""


class ImageTransferRoutes:
    """Routes that move images."""

    def __init__(self, pulls: Pulls, image_import: ImageImport) -> None:
        self._pulls = pulls
        self._import = image_import

    def routes(self) -> list[Route]:
        """The table."""
        return [Route("POST", "/images/create", self.create)]

    async def create(self, call: Call) -> web.StreamResponse:
        """An image from a registry, or from a root file system."""
        if call.query.text("fromImage"):
            return await self._pull(call)
        return await self._import(call, _platform(call))

    async def _pull(self, call: Call) -> web.StreamResponse:
        stream = JSONStream(call)
        finished = False
        with while_connected(call.request):
            try:
                await self._pulls.pull(
                    call.query.text("fromImage"),
                    call.query.text("tag"),
                    platform=_platform(call),
                    credentials=credentials.decode_or_none(call.request.headers.get("X-Registry-Auth", "")),
                    progress=stream,
                )
            except ConnectionError:
                raise
            except Exception as error:  # noqa: BLE001 - the top frame of a pull
                return await stream.fail(error, "image pull")
            finished = True
        if not finished:  # a client that is still there must not take the end of the stream for a success
            with contextlib.suppress(ConnectionError):
                await stream(Message.failure("the daemon is shutting down: the pull was given up"))
        return await stream.end()


def _platform(call: Call) -> str:
    return "" if call.version.before("1.32") else call.query.text("platform")
