"""Files of containers: what they changed, all of them as an archive, and images made of them."""

import re
from collections.abc import AsyncIterator
from typing import Protocol

import errdefs
from api import archives, web
from api.call import Call
from api.routing import Route
from api.schema import create
from engine.containers.changes import Change
from engine.containers.commit import CommitRequest

_EXPORT_TYPE = "application/octet-stream"
_NO_TEXT = re.compile("[\udc80-\udcff]")  # how Python has bytes of names that are not UTF-8


class Filesystem(Protocol):
    """What these routes need of the engine."""

    async def changes(self, reference: str, /) -> list[Change]:
        """What a container changed."""

    def export(self, reference: str, /) -> AsyncIterator[bytes]:
        """Its root as an archive."""

    async def commit(self, request: CommitRequest, /) -> str:
        """An image of it."""


class FilesystemRoutes:
    """Routes of containers' files."""

    def __init__(self, filesystem: Filesystem) -> None:
        self._filesystem = filesystem

    def routes(self) -> list[Route]:
        """The table."""
        return [
            Route("GET", "/containers/{name}/changes", self.changes),
            Route("GET", "/containers/{name}/export", self.export),
            Route("POST", "/commit", self.commit),
        ]

    async def changes(self, call: Call) -> web.StreamResponse:
        """Every path that is otherwise than in the image; null for none."""
        found = await self._filesystem.changes(call.name)
        shown = [{"Path": _NO_TEXT.sub("\ufffd", each.path), "Kind": int(each.kind)} for each in found]
        return call.answer(shown or None)

    async def export(self, call: Call) -> web.StreamResponse:
        """The root as an archive."""
        return await archives.send(call, self._filesystem.export(call.name), _EXPORT_TYPE)

    async def commit(self, call: Call) -> web.StreamResponse:
        """A container as an image."""
        call.require_json()
        config = create.parse_config(await call.body())
        container = call.query.text("container")
        if not container.strip("/"):
            raise errdefs.InvalidArgument(f'invalid name or ID supplied: "{container}"')
        image_id = await self._filesystem.commit(
            CommitRequest(
                container=container,
                repo=call.query.text("repo"),
                tag=call.query.text("tag"),
                author=call.query.text("author"),
                comment=call.query.text("comment"),
                pause=call.query.flag("pause", default=True),
                changes=call.query.all("changes"),
                config=config,
            )
        )
        return call.answer({"Id": image_id}, 201)
