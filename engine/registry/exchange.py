"""One request and its answer: redirects followed by hand, every wait bounded, secrets kept to their origin."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp
import msgspec
from yarl import URL

import errdefs
from engine.registry import challenge, errors, failures, proxies
from engine.registry.contexts import Contexts
from engine.registry.hosts import Settings, Tls
from engine.veiled import Veiled

SILENCE = 60.0
"""Seconds without a byte after which an answer is given up."""

HEAD = 60.0
"""Seconds from a connection, or a body's last byte, to an answer's whole head."""

_CHUNK = (
    1 << 18
)  # bytes; a connection may have two to three times as many waiting, and what was taken is a copy
_SMALL_BODY = 60.0  # seconds for a body that is held in memory
_IDLE = 1.0  # seconds for which a connection that nobody uses is kept
_MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
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


def _left_in(content: aiohttp.StreamReader) -> bytes:
    """What came before the connection broke: aiohttp has it, and tells of the failure first, for good."""
    content.set_exception(None)  # type: ignore[arg-type]
    return content.read_nowait()


class Answer:
    """The head of an answer, and its body while the exchange is open."""

    def __init__(self, response: aiohttp.ClientResponse, request: Request, url: URL) -> None:
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
                chunk = await content.readany()
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


class Wire:
    """What exchanges share: the connections, the TLS contexts, the settings. Belongs to one loop."""

    def __init__(self, settings: Settings, user_agent: str) -> None:
        self.settings = settings
        self._contexts = Contexts()
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @asynccontextmanager
    async def ask(self, request: Request) -> AsyncIterator[Answer]:
        """Make a request, go where it is redirected to, and close the answer at the end.

        errdefs in Go's words, Transient where another try may do. A redirect from TLS to none is refused.
        """
        failures.require_port(request.method, request.url)
        response, url = await self._follow(request)
        try:
            yield Answer(response, request, url)
        finally:
            response.release() if response.content.at_eof() else response.close()

    async def _follow(self, request: Request) -> tuple[aiohttp.ClientResponse, URL]:
        url = request.url
        for _ in range(_MAX_REDIRECTS + 1):
            response = await self._send(request, url)
            location = response.headers.get("Location", "")
            if response.status not in _REDIRECTS or not location or request.form is not None:
                return response, url
            response.close()
            url = _target(request, url, location)
        raise errdefs.SystemFailure(
            f'{request.method.capitalize()} "{failures.shown(url, whole=False)}": '
            f"stopped after {_MAX_REDIRECTS} redirects"
        )

    async def _send(self, request: Request, url: URL) -> aiohttp.ClientResponse:
        same = url.origin() == request.url.origin()
        headers = {"User-Agent": self._user_agent, "Accept-Encoding": "identity", **request.headers}
        if same:
            headers |= request.secret_headers
            if request.authorization:
                headers["Authorization"] = request.authorization
        if request.body is not None:
            headers["Content-Length"] = str(request.body.size)
        context = await self._contexts.get(request.tls if same else request.tls.without_clients())
        try:
            async with _deadline(request) as pace:
                return await self._opened().request(
                    request.method,
                    url,
                    headers=headers,
                    data=request.form if request.body is None else pace.through(request.body),
                    allow_redirects=False,
                    ssl=context,
                    proxy=proxies.proxy_for(url, self.settings),
                    timeout=aiohttp.ClientTimeout(
                        total=None, sock_connect=request.connect_timeout, sock_read=pace.silence
                    ),
                )
        except failures.FAILURES as error:
            if isinstance(error.__cause__, errdefs.WherryError):
                raise error.__cause__ from None  # the body could not be had
            raise failures.translated(error, request.method, url, whole=url == request.url) from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=_CHUNK,
            )
        return self._session


class _Pace:
    """The time that a request has: put off by each chunk that is taken of its body."""

    def __init__(self, deadline: asyncio.Timeout, patience: float) -> None:
        self.silence = SILENCE + patience - HEAD
        self.over = False
        self._deadline = deadline
        self._patience = patience

    async def through(self, body: Body) -> AsyncIterator[bytes]:
        """The body's bytes."""
        async for chunk in body.open():
            self._grant(SILENCE)
            yield chunk
        self._grant(self._patience)

    def _grant(self, seconds: float) -> None:
        """From now on; an answer that came before the body's end has ended all waiting."""
        if not self.over:
            self._deadline.reschedule(asyncio.get_running_loop().time() + seconds)


@asynccontextmanager
async def _deadline(request: Request) -> AsyncIterator[_Pace]:
    async with asyncio.timeout(request.connect_timeout + request.patience) as deadline:
        pace = _Pace(deadline, request.patience)
        try:
            yield pace
        finally:
            pace.over = True


def _target(request: Request, url: URL, location: str) -> URL:
    """Where a redirect leads, exactly as it was written: a signature counts every byte."""
    what = f'{request.method.capitalize()} "{failures.shown(url, whole=url == request.url)}": '
    try:
        target = url.join(URL(location, encoded=True)).with_user(None)
        target.origin()
    except ValueError:
        target = URL()
    if not target.host:
        raise errdefs.SystemFailure(f"{what}invalid redirect")
    if target.scheme not in ("http", "https"):
        raise errdefs.SystemFailure(f'{what}unsupported protocol scheme "{target.scheme[:20]}"')
    if target.scheme == "http" and url.scheme == "https":
        raise errdefs.SystemFailure(f"{what}refused to be redirected from HTTPS to HTTP")
    return target
