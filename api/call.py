"""One request on its way through a route: version, query, path variables, body and the ways to answer."""

import asyncio
import email.message
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar

import msgspec

import errdefs
from api import errors, gojson, web
from api.query import Query
from api.versions import Version

T = TypeVar("T")

MAX_JSON = 8 * 1024 * 1024  # bytes
_BODY_TIMEOUT = 60.0  # seconds for a JSON body
_CHUNK = 256 * 1024
_JSON_TYPE = "application/json"


class Call(msgspec.Struct, kw_only=True):
    """What a route is given. `variables` are the parts of the path, decoded."""

    request: web.BaseRequest
    version: Version
    query: Query
    variables: Mapping[str, str]
    headers: Mapping[str, str]  # Docker's, on every answer
    started: web.StreamResponse | None = None
    _kept: bytes | None = None

    @property
    def name(self) -> str:
        """The `{name}` or `{id}` of the path."""
        return self.variables["name"]

    @property
    def has_body(self) -> bool:
        """Whether the client sends a body, by its headers."""
        return self.chunked or bool(self.content_length)

    @property
    def content_length(self) -> int:
        """The announced length of the body, 0 without one."""
        return self.request.content_length or 0

    @property
    def chunked(self) -> bool:
        """Whether the length of the body is unknown."""
        return "chunked" in self.request.headers.get("Transfer-Encoding", "").lower()

    @property
    def is_json(self) -> bool:
        """Whether the type of the body is said to be JSON; no other body is read as JSON."""
        parsed = email.message.Message()
        parsed["Content-Type"] = self.request.headers.get("Content-Type", "")
        return parsed.get_content_type() == _JSON_TYPE

    async def json(self, kind: type[T]) -> T:
        """The body as a Struct; its zero value without a body. InvalidArgument for what is no JSON."""
        self.require_json()
        if not self.has_body:
            return kind()
        return gojson.decode(await self.body(), kind)

    def require_json(self) -> None:
        """Pass if the body's type is JSON, or there is neither body nor type."""
        given = self.request.headers.get("Content-Type", "")
        if not given and not self.has_body:
            return
        if "/" not in given:
            problem = "mime: no media type" if not given.strip() else "mime: expected slash after first token"
            raise errdefs.InvalidArgument(f"malformed Content-Type header ({given}): {problem}")
        if not self.is_json:
            raise errdefs.InvalidArgument(
                f"unsupported Content-Type header ({given}): must be '{_JSON_TYPE}'"
            )

    async def keep_body(self, limit: int, too_large: str) -> bytes:
        """The whole body before its handler has it, who gets the same bytes. InvalidArgument with that text."""
        self._kept = await self.body(limit, too_large)
        return self._kept

    async def body(self, limit: int = MAX_JSON, too_large: str = "") -> bytes:
        """The whole body, bounded in size and time."""
        parts = bytearray()
        try:
            async with asyncio.timeout(_BODY_TIMEOUT):
                async for chunk in self.chunks():
                    parts += chunk
                    if len(parts) > limit:
                        raise errdefs.InvalidArgument(
                            too_large or f"request body is larger than {limit} bytes"
                        )
        except TimeoutError:
            raise errdefs.InvalidArgument(
                f"request body did not arrive in {_BODY_TIMEOUT:.0f} seconds"
            ) from None
        return bytes(parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives; reading slowly slows the client. InvalidArgument when it breaks off."""
        if self._kept is not None:
            if self._kept:
                yield self._kept
            return
        await self._continue()
        content = self.request.content
        while True:
            try:
                chunk = await content.read(_CHUNK)
            except web.RequestPayloadError as error:
                raise errdefs.InvalidArgument(f"malformed request body: {error}") from None
            if not chunk:
                return
            yield chunk

    def answer(self, value: Any, status: int = 200) -> web.Response:
        """A JSON answer."""
        return self.encoded(errors.encode(value), status)

    def encoded(self, body: bytes, status: int = 200) -> web.Response:
        """A JSON answer that is encoded already."""
        return web.Response(status=status, body=body, headers={"Content-Type": _JSON_TYPE})

    async def stream(
        self, content_type: str, headers: Mapping[str, str] | None = None, *, at_once: bool = True
    ) -> web.StreamResponse:
        """A chunked answer whose head is sent at once, or with what is written first."""
        kind = web.StreamResponse if at_once else _Joined
        response = kind(headers={**self.headers, **(headers or {}), "Content-Type": content_type})
        self.started = response
        await response.prepare(self.request)
        return response

    async def _continue(self) -> None:
        if self.request.headers.get("Expect", "").lower() == "100-continue":
            writer = self.request.writer
            await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            writer.output_size = 0


class _Joined(web.StreamResponse):
    """Sends its head in one piece with what is written first."""

    _send_headers_immediately = False


def done() -> web.Response:
    """204: done, and nothing to say."""
    return web.Response(status=204)
