"""One blob on its way into a repository: mounted, sent whole, or in parts."""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import quote

import msgspec
from yarl import URL

import errdefs
from engine.registry import errors
from engine.registry.access import Access
from engine.registry.failures import shown
from engine.registry.messages import Answer, Body
from engine.registry.tokens import scope

PART = 8 << 20
"""Bytes of a part, of a blob that is not sent in one. Some registries take none of less than 5 MiB."""

_DIGESTING = 600.0  # seconds in which a registry makes a blob, or keeps a part, of what it was sent
_LARGEST_PART = 64 << 20
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,19})")
_BYTES = {"Content-Type": "application/octet-stream"}
_LOST = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "DIGEST_INVALID", "SIZE_INVALID"})
_FINAL = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class Content(msgspec.Struct, frozen=True):
    """A blob to send: `read` gives its bytes from an offset on, as many as asked, in small chunks."""

    digest: str
    size: int
    read: Callable[[int, int], AsyncIterator[bytes]]


class Upload:
    """One blob on its way. A failed `attempt` may be made again: it goes on as far as the registry lets it.

    A blob is sent in one request, as every registry takes it. Where that broke off or was too large, it goes on
    in parts from where the registry has it; where the registry takes no parts, in one again.
    """

    def __init__(self, access: Access, begin: URL, content: Content, sources: Sequence[str]) -> None:
        """`begin` is where the repository lets uploads begin."""
        self.source = ""
        """The repository from which it was mounted, "" if it was not."""
        self.kept = 0
        """Bytes that the registry has, as far as is known."""
        self._access = access
        self._beginning = begin
        self._content = content
        self._sources = list(sources)
        self._at: URL | None = None
        self._part = PART
        self._in_parts = False
        self._takes_parts = True
        self._broken = False

    async def attempt(self) -> None:
        """Have the blob in the repository."""
        try:
            while not await self._attempt():
                pass
        except errors.Refusal as refused:
            raise errors.of_push(refused) from None

    async def _attempt(self) -> bool:
        """Send it; False if that is to be done in another way, at once."""
        if self._broken:
            await self._resume()
        if self._at is None:
            await self._begin()
        if self._at is None:
            return True
        self._broken = True
        try:
            await (self._send_parts() if self._in_parts else self._send_whole())
        except errors.Transient:
            self._in_parts = self._takes_parts
            with suppress(errors.Refusal, errdefs.WherryError):  # another attempt asks again
                await self._resume()
            raise
        except errors.Refusal as refused:
            if self._otherwise(refused):
                return False
            raise
        return True

    def _otherwise(self, refused: errors.Refusal) -> bool:
        """Whether another way may do; Transient if the same one may, from the beginning."""
        if refused.passing:
            self._in_parts = self._takes_parts
            return False
        if refused.status in _FINAL or refused.by_token_server or refused.code == "DENIED":
            return False
        too_large = refused.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        if too_large and not self._in_parts and self._takes_parts:
            self._forget()
            self._in_parts = True
            return True
        if self._in_parts:
            self._forget()
            self._in_parts = self._takes_parts = False
            return True
        if refused.code in _LOST:
            self._forget()
            raise errors.Transient(refused.text)
        return False

    def _forget(self) -> None:
        """Begin anew."""
        self._at, self.kept, self._broken = None, 0, False

    async def _begin(self) -> None:
        """Mount it, or open an upload."""
        while self._sources:
            source = self._sources.pop(0)
            await self._cancel()
            try:
                if await self._mounted(source):
                    self.source = source
                    return
            except errors.Refusal as refused:
                if refused.passing:
                    self._sources.insert(0, source)
                    raise
        if self._at is None:
            async with self._access.ask("POST", self._beginning) as answer:
                self._follow(answer)

    async def _mounted(self, source: str) -> bool:
        """Ask for it from another repository; without success an upload is open, which may be used."""
        url = self._beginning.extend_query({"mount": self._content.digest, "from": source})
        async with self._access.ask("POST", url, scopes=(scope(source, ("pull",)),)) as answer:
            if answer.status == HTTPStatus.CREATED:
                return True
            self._follow(answer)
        return False

    async def _cancel(self) -> None:
        """Close an upload that nothing was sent to."""
        at, self._at = self._at, None
        if at is not None:
            with suppress(errors.Refusal, errdefs.WherryError):  # it ends by itself, too
                async with self._access.ask("DELETE", at):
                    pass

    async def _send_whole(self) -> None:
        await self._finish(self._body(0, self._content.size))
        self.kept = self._content.size

    async def _send_parts(self) -> None:
        assert self._at is not None
        while (begin := self.kept) < self._content.size:
            size = min(self._part, self._content.size - begin)
            headers = {"Content-Range": f"{begin}-{begin + size - 1}", **_BYTES}
            body = self._body(begin, size)
            async with self._access.ask("PATCH", self._at, headers, body=body, patience=_DIGESTING) as answer:
                self._follow(answer)
                kept = _kept(answer)
            if kept is not None and not begin < kept <= begin + size:
                self._forget()
                raise errors.Transient(
                    f"blob {self._content.digest}: the registry has {kept} bytes after {begin + size}"
                )
            self.kept = begin + size if kept is None else kept
        await self._finish(None)

    async def _finish(self, body: Body | None) -> None:
        assert self._at is not None
        glue = "&" if self._at.raw_query_string else "?"
        url = URL(f"{self._at}{glue}digest={quote(self._content.digest, safe='')}", encoded=True)
        async with self._access.ask("PUT", url, _BYTES, body=body, patience=_DIGESTING):
            pass

    def _body(self, begin: int, size: int) -> Body:
        return Body(size, lambda: self._content.read(begin, size))

    async def _resume(self) -> None:
        """Ask what has come; begin anew where that is nothing, or not to be learnt."""
        at = self._at
        if at is None:
            return
        try:
            async with self._access.ask("GET", at) as answer:
                self._follow(answer)
                kept = _kept(answer)
        except errors.Refusal as refused:
            if refused.passing:
                raise
            kept = None
        if not kept or kept > self._content.size or not self._takes_parts:
            self._forget()
        else:
            self.kept = kept
            self._broken = False

    def _follow(self, answer: Answer) -> None:
        """Take over where the upload goes on."""
        location = answer.header("Location")
        if location:
            self._at = _location(answer.url, location)
        elif self._at is None:
            raise errdefs.SystemFailure(
                f'"{shown(answer.url, whole=False)}": the registry does not say where to send the blob'
            )
        least = answer.header("OCI-Chunk-Min-Length")
        if least.isascii() and least.isdecimal():
            self._part = min(max(PART, int(least[:12])), _LARGEST_PART)


def _kept(answer: Answer) -> int | None:
    """The bytes of an upload that its registry says to have, None if it does not say. "0-0" is said of none."""
    found = _RANGE.fullmatch(answer.header("Range").strip())
    if found is None:
        return None
    last = int(found[1])
    return last + 1 if last else 0


def _location(base: URL, location: str) -> URL:
    """Where an upload goes on, exactly as it was written.

    A registry behind a proxy that adds TLS often does not know of it: its own name stays under TLS.
    """
    try:
        found = base.join(URL(location, encoded=True)).with_user(None).with_fragment(None)
        found.origin()
    except ValueError:
        found = URL()
    if not found.host or found.scheme not in ("http", "https"):
        raise errdefs.SystemFailure(f'"{shown(base, whole=False)}": invalid upload location')
    if found.scheme == "http" and base.scheme == "https":
        if found.host != base.host:
            raise errdefs.SystemFailure(
                f'"{shown(base, whole=False)}": refused to be sent from HTTPS to HTTP'
            )
        return URL(f"{base.origin()}{found.raw_path_qs}", encoded=True)
    return found
