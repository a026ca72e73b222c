"""A file from wherever a URL leads: what `docker import` is given instead of an archive."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Protocol

from yarl import URL

import errdefs
from engine.registry import errors
from engine.registry.credentials import Credentials
from engine.registry.exchange import Wire
from engine.registry.hosts import Tls
from engine.registry.messages import Answer, Request

_NO_HOST = re.compile(r"[\s\"<>\\^`{|}]")
_MAX_REASON = 64 << 10
_CLASSES: dict[int, type[errdefs.WherryError]] = {
    400: errdefs.InvalidArgument,
    401: errdefs.Unauthorized,
    403: errdefs.Forbidden,
    404: errdefs.NotFound,
}


class Download(Protocol):
    """A file that is there, to be read."""

    @property
    def status(self) -> int:
        """The status number: 304 where the file is one of those that were named as known."""

    @property
    def length(self) -> int | None:
        """Its bytes, None if they are not announced."""

    def header(self, name: str) -> str:
        """A header of the answer, "" without it."""

    def chunks(self) -> AsyncIterator[bytes]:
        """It, as it comes. Transient when it breaks off, or comes slower than a kilobyte a second."""


class Source:
    """Where a file is: a URL, "http://" before it or not. InvalidArgument for what is none.

    User and password in it are shown to its host, and to nobody else.
    """

    def __init__(self, text: str) -> None:
        self.text = _without_user(text)
        whole = text if "://" in text else f"http://{text}"
        shown = _without_user(whole)
        try:
            url = URL(whole, encoded=re.fullmatch("[!-~]*", whole) is not None)
            host, _ = url.host, url.port
        except ValueError:
            raise errdefs.InvalidArgument(f'parse "{shown}": invalid URL') from None
        if url.scheme not in ("http", "https"):
            raise errdefs.InvalidArgument(f'Get "{shown}": unsupported protocol scheme "{url.scheme[:20]}"')
        if not host:
            raise errdefs.InvalidArgument(f'Get "{shown.rstrip("/")}": http: no Host in request URL')
        if (found := _NO_HOST.search(host)) is not None:
            raise errdefs.InvalidArgument(f'parse "{shown}": invalid character "{found[0]}" in host name')
        self.url = url.with_user(None).with_fragment(None)
        self.credentials = Credentials(url.user or "", url.password or "")


@asynccontextmanager
async def download(
    wire: Wire,
    source: Source,
    *,
    brief: bool,
    head: bool,
    conditions: Mapping[str, str],
) -> AsyncIterator[Download]:
    """What is at a source, redirects followed. Errors by what the host answered, in Docker's words, or in BuildKit's,
    which are `brief`.

    With `head` it has no content; `conditions` are headers that say under which it is wanted.
    """
    request = Request(
        method="HEAD" if head else "GET",
        url=source.url,
        tls=Tls(),
        headers=conditions,
        authorization=source.credentials.basic,
    )
    async with wire.ask(request) as answer:
        if answer.status >= HTTPStatus.BAD_REQUEST:
            kind = _CLASSES.get(answer.status, errdefs.SystemFailure)
            raise kind(f"invalid response status {answer.status}" if brief else await _reason(answer, source))
        yield answer


async def _reason(answer: Answer, source: Source) -> str:
    status = f"{answer.status} {errors.phrase(answer.status)}".rstrip()
    try:
        reason = (await answer.body(_MAX_REASON)).decode(errors="replace").strip()
    except errdefs.WherryError:
        reason = "error reading body"
    text = f"failed to GET {source.url} with status {status}: {errors.printable(reason)}"
    return source.credentials.redact(text)


def _without_user(text: str) -> str:
    """A URL without what stands before its host."""
    return re.sub(r"^((?:[^/?#]*://)?)[^/?#]*@", r"\1", text)
