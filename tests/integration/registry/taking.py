"""A registry that takes what is pushed, as the distribution specification has it, and as some real ones do."""

import hashlib
import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from aiohttp import web

from tests.integration.registry.servers import Seen


@dataclass
class Taking:
    """Keeps blobs and manifests in memory; counts the bytes that come.

    A request is reset after `cut` bytes of its body, `cuts` times; `keeps` tells whether what came of it stays.
    `parts` are taken or refused by `refusal`, bodies of more than `largest` bytes never. `location` makes of a path
    what is answered. `answers` are given, one after the other, instead of taking a PUT or PATCH.
    """

    cut: int = 1 << 40
    cuts: int = 0
    keeps: bool = True
    parts: bool = True
    refusal: int = 405
    least: int = 0
    largest: int = 1 << 40
    location: Callable[[str], str] = lambda path: path
    answers: list[web.Response] = field(default_factory=list)
    received: int = 0
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    uploads: dict[str, bytearray] = field(default_factory=dict)

    @property
    def methods(self) -> list[str]:
        """What was done to uploads, in order."""
        return [one.method for one in self.seen if "/blobs/" in one.path and one.method != "HEAD"]

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append(Seen(request.method, request.path, parse_qsl(request.query_string), headers))
        path = request.path
        if "/manifests/" in path:
            return await self._manifest(request)
        if found := re.search(r"/blobs/(sha256:\w+)$", path):
            return web.Response(status=200 if found[1] in self.blobs else 404)
        if path.endswith("/blobs/uploads/"):
            name = str(len(self.seen))
            self.uploads[name] = bytearray()
            return self._told(202, f"{path}{name}")
        return await self._upload(request) if "/blobs/uploads/" in path else web.Response()

    async def _manifest(self, request: web.BaseRequest) -> web.Response:
        raw = await request.content.read()
        self.manifests[request.path.rpartition("/")[2]] = raw
        digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        return web.Response(status=201, headers={"Docker-Content-Digest": digest})

    async def _upload(self, request: web.BaseRequest) -> web.StreamResponse:
        name = request.path.rpartition("/")[2]
        upload = self.uploads.get(name)
        if upload is None:
            return _error(404, "BLOB_UPLOAD_UNKNOWN")
        if request.method == "GET":
            return self._told(204, request.path)
        if request.method == "DELETE":
            del self.uploads[name]
            return web.Response(status=204)
        if self.answers:
            await request.content.read()
            return self.answers.pop(0)
        if int(request.headers.get("Content-Length", "0")) > self.largest:
            return _error(413, "SIZE_INVALID")
        if request.method == "PATCH" and not self.parts:
            return _error(self.refusal, "UNSUPPORTED")
        if not await self._take(request, upload):
            return _reset(request)
        if request.method == "PATCH":
            return self._told(202, request.path)
        digest = dict(request.query)["digest"]
        if digest != f"sha256:{hashlib.sha256(upload).hexdigest()}":
            return _error(400, "DIGEST_INVALID")
        self.blobs[digest] = bytes(self.uploads.pop(name))
        return web.Response(status=201)

    async def _take(self, request: web.BaseRequest, upload: bytearray) -> bool:
        """The body; False if it is broken off."""
        came, before = 0, len(upload)
        begin = request.headers.get("Content-Range", f"{before}-").partition("-")[0]
        assert int(begin) == before, "the part does not begin where the last one ended"
        async for chunk in request.content.iter_any():
            came += len(chunk)
            self.received += len(chunk)
            upload += chunk
            if came >= self.cut and self.cuts:
                self.cuts -= 1
                if not self.keeps:
                    del upload[before:]
                return False
        return True

    def _told(self, status: int, path: str) -> web.Response:
        name = path.rpartition("/")[2]
        headers = {"Location": self.location(path), "Range": f"0-{max(len(self.uploads[name]) - 1, 0)}"}
        if self.least:
            headers["OCI-Chunk-Min-Length"] = str(self.least)
        return web.Response(status=status, headers=headers)


def _error(status: int, code: str) -> web.Response:
    return web.json_response({"errors": [{"code": code, "message": code.lower()}]}, status=status)


def _reset(request: web.BaseRequest) -> web.StreamResponse:
    transport = request.transport
    assert transport is not None
    one = transport.get_extra_info("socket")
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    return web.Response()
