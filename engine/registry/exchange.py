"""One request and its answer: redirects followed by hand, every wait bounded, secrets kept to their origin."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from yarl import URL

import errdefs
from engine.registry import failures, messages, proxies
from engine.registry.contexts import Contexts
from engine.registry.hosts import Settings
from engine.registry.messages import Answer, Body, Request
from plugins.loading import later

if TYPE_CHECKING:
    from aiohttp.client import ClientResponse, ClientSession

_MAX_REDIRECTS = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Wire:
    """What exchanges share: the connections, the TLS contexts, the settings. Belongs to one loop."""

    def __init__(self, settings: Settings, user_agent: str) -> None:
        self.settings = settings
        self._contexts = Contexts()
        self._user_agent = user_agent
        self._session: ClientSession | None = None

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

    async def _follow(self, request: Request) -> "tuple[ClientResponse, URL]":
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

    async def _send(self, request: Request, url: URL) -> "ClientResponse":
        same = url.origin() == request.url.origin()
        headers = {"User-Agent": self._user_agent, "Accept-Encoding": "identity", **request.headers}
        if same:
            headers |= request.secret_headers
            if request.authorization:
                headers["Authorization"] = request.authorization
        if request.body is not None:
            headers["Content-Length"] = str(request.body.size)
        context = await self._contexts.get(request.tls if same else request.tls.without_clients())
        sessions = await later("engine.registry.sessions")
        session = self._session = self._session or sessions.open_session()
        try:
            async with _deadline(request) as pace:
                return await session.request(
                    request.method,
                    url,
                    headers=headers,
                    data=request.form if request.body is None else pace.through(request.body),
                    allow_redirects=False,
                    ssl=context,
                    proxy=proxies.proxy_for(url, self.settings),
                    timeout=sessions.ClientTimeout(
                        total=None, sock_connect=request.connect_timeout, sock_read=pace.silence
                    ),
                )
        except failures.FAILURES as error:
            if isinstance(error.__cause__, errdefs.WherryError):
                raise error.__cause__ from None  # the body could not be had
            raise failures.translated(error, request.method, url, whole=url == request.url) from None


class _Pace:
    """The time that a request has: put off by each chunk that is taken of its body."""

    def __init__(self, deadline: asyncio.Timeout, patience: float) -> None:
        self.silence = messages.SILENCE + patience - messages.HEAD
        self.over = False
        self._deadline = deadline
        self._patience = patience

    async def through(self, body: Body) -> AsyncIterator[bytes]:
        """The body's bytes."""
        async for chunk in body.open():
            self._grant(messages.SILENCE)
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
