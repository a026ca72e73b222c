"""Files of containers as archives: `docker cp` in both directions."""

import base64
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import errdefs
from api import archives, errors, web
from api.call import Call
from api.gojson import readable
from api.routing import Route
from engine.containers.archive import Found, PathStat
from engine.images import timestamps

_ENCODINGS = ("gzip", "deflate")


class Archives(Protocol):
    """What these routes need of the engine."""

    async def stat(self, reference: str, path: str, /) -> PathStat:
        """The facts of a file."""

    def get(self, reference: str, path: str, encoding: str, /) -> AbstractAsyncContextManager[Found]:
        """A file or a directory as an archive."""

    async def put(
        self,
        reference: str,
        path: str,
        archive: AsyncIterator[bytes],
        /,
        *,
        as_user: bool,
        keep_kinds: bool,
    ) -> None:
        """An archive into a directory."""


class ArchiveRoutes:
    """Routes of single files."""

    def __init__(self, archives: Archives) -> None:
        self._archives = archives

    def routes(self) -> list[Route]:
        """The table."""
        return [
            Route("HEAD", "/containers/{name}/archive", self.stat),
            Route("GET", "/containers/{name}/archive", self.get),
            Route("PUT", "/containers/{name}/archive", self.put),
        ]

    async def stat(self, call: Call) -> web.StreamResponse:
        """The facts of a file, in a header."""
        return web.Response(headers=_header(await self._archives.stat(call.name, _path(call))))

    async def get(self, call: Call) -> web.StreamResponse:
        """A file or a directory."""
        encoding = negotiate(call.request.headers.getall("Accept-Encoding", []))
        async with self._archives.get(call.name, _path(call), encoding) as found:
            headers = _header(found.stat)
            if encoding:
                headers["Content-Encoding"] = encoding
            return await archives.send(call, found.chunks, headers=headers)

    async def put(self, call: Call) -> web.StreamResponse:
        """Files into a directory."""
        await self._archives.put(
            call.name,
            _path(call),
            call.chunks(),
            as_user=call.query.flag("copyUIDGID"),
            keep_kinds=call.query.flag("noOverwriteDirNonDir"),
        )
        return web.Response()


def _path(call: Call) -> str:
    path = call.query.path("path")
    if not path:
        raise errdefs.InvalidArgument("bad parameter: pathcannot be empty")
    return path


def _header(stat: PathStat) -> dict[str, str]:
    facts = {
        "name": readable(stat.name),
        "size": stat.size,
        "mode": stat.mode,
        "mtime": timestamps.render(stat.mtime),
        "linkTarget": readable(stat.link_target),
    }
    encoded = base64.b64encode(errors.encode(facts).rstrip(b"\n"))
    return {"X-Docker-Container-Path-Stat": encoded.decode()}


def negotiate(accepted: list[str]) -> str:
    """The coding that a client likes best of those that there are, "" for none."""
    best, quality = "", 0.0
    given = [_weighed(coding) for field in accepted for coding in field.split(",")]
    for offer in _ENCODINGS:
        for coding, weight in given:
            if coding in ("*", offer) and weight > quality:
                best, quality = offer, weight
    return best


def _weighed(coding: str) -> tuple[str, float]:
    name, _, parameters = coding.partition(";")
    quality = parameters.replace(" ", "").removeprefix("q=")
    try:
        return name.strip().lower(), float(quality) if quality else 1.0
    except ValueError:
        return name.strip().lower(), 0.0
