"""What is asked of a registry, and what it answers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
from yarl import URL

import errdefs
from engine.registry import challenge, errors, failures
from engine.registry.hosts import Tls
from engine.veiled import Veiled

if TYPE_CHECKING:
    from aiohttp.client import ClientResponse
    from aiohttp.streams import StreamReader

SILENCE = 60.0
"""Seconds without a byte after which an answer is given up."""

HEAD = 60.0
"""Seconds from a connection, or a body's last byte, to an answer's whole head."""

_SMALL_BODY = 60.0  # seconds for a body that is held in memory
_SLOWEST = 1 << 10  # bytes a second, on the average of what was waited for


class Body(msgspec.Struct, frozen=True):
    """What a request sends: exactly `size` bytes, which `open` gives anew for each try, in small chunks."""

    size: int
    open: Callable[[], AsyncIterator[bytes]]


class Request(Veiled, frozen=True, kw_only=True):
    """What to ask; `patience` is in seconds, as `HEAD`.

    `authorization` and `secret_headers` go to the origin of `url` alone, as do client certificates.
    """

    method: str
    url: URL
    tls: Tls
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    authorization: str = ""
    secret_headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    form: Mapping[str, str] | None = None
    body: Body | None = None
    connect_timeout: float = 30.0
    patience: float = HEAD


def _left_in(content: "StreamReader") -> bytes:
    """What came before the connection broke: aiohttp has it, and tells of the failure first, for good."""
    content.set_exception(None)  # type: ignore[arg-type]
    return content.read_nowait()


class Answer:
    """The head of an answer, and its body while the exchange is open."""

    def __init__(self, response: "ClientResponse", request: Request, url: URL) -> None:
        self._response = response
        self._request = request
        self._url = url

    @property
    def status(self) -> int:
        """The status number."""
        return self._response.status

    @property
    def succeeded(self) -> bool:
        """Whether the registry did what was asked."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def url(self) -> URL:
        """Where the answer came from, after redirects."""
        return self._url

    def header(self, name: str) -> str:
        """A header's first value, "" without it."""
        return str(self._response.headers.get(name, ""))

    @property
    def length(self) -> int | None:
        """The announced bytes of the body, None if it is not announced."""
        return self._response.content_length

    @property
    def challenges(self) -> list[challenge.Challenge]:
        """How the server wants to be convinced."""
        return challenge.parse(self._response.headers.getall("WWW-Authenticate", ()))

    async def body(self, limit: int) -> bytes:
        """The whole body. SystemFailure when it is larger than `limit` bytes, Transient when it breaks off."""
        parts = bytearray()
        too_large = (self.length or 0) > limit
        try:
            async with asyncio.timeout(_SMALL_BODY):
                while not too_large and (chunk := await self._response.content.readany()):
                    parts += chunk
                    too_large = len(parts) > limit
        except failures.FAILURES as error:
            raise self._failed(error) from None
        if too_large:
            parts.clear()  # the failure's traceback holds on to it, until somebody looks for garbage
            raise errdefs.SystemFailure(f"{self._shown()}: the answer is larger than {limit} bytes")
        return bytes(parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Transient when it breaks off, or comes slower than a kilobyte a second."""
        content = self._response.content
        waited, got = 0.0, 0
        while True:
            asked = time.monotonic()
            try:
                chunk = await self._more(content)
            except failures.FAILURES as error:
                if rest := _left_in(content):
                    yield rest
                raise self._failed(error) from None
            if not chunk:
                return
            waited, got = waited + time.monotonic() - asked, got + len(chunk)
            if waited > SILENCE:
                if got < waited * _SLOWEST:
                    raise errors.Transient(
                        f"{self._shown()}: {got} bytes in {waited:.0f} seconds are too few"
                    )
                waited, got = 0.0, 0
            yield chunk

    async def _more(self, content: "StreamReader") -> bytes:
        """What came, as it came, as to join it takes as long as to receive it; none at the end."""
        if self.length is None:  # then it comes in pieces of the server's making, which may be small
            return await content.readany()
        return (await content.readchunk())[0]

    async def refusal(self) -> errors.Refusal:
        """What the registry says instead of doing what was asked."""
        body = b""
        if self._request.method != "HEAD":
            try:
                body = await self.body(errors.MAX_BODY)
            except errdefs.SystemFailure:
                body = b""  # what it would have said is lost, that it refused is not
        return errors.refusal(
            self.status,
            body,
            content_type=self.header("Content-Type"),
            challenges=self.challenges,
            retry_after=self.header("Retry-After"),
        )

    def _shown(self) -> str:
        return f'{self._request.method.capitalize()} "{failures.shown(self._url, whole=False)}"'

    def _failed(self, error: BaseException) -> errdefs.WherryError:
        return failures.translated(
            error, self._request.method, self._url, whole=self._url == self._request.url
        )
