"""A repository: its manifests, blobs and tags, from whichever of its hosts has them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import TypeVar

import msgspec
from yarl import URL

import errdefs
from engine.images.reference import Reference, validate_digest
from engine.registry import directory, errors, hosts
from engine.registry.access import Access
from engine.registry.blob import Blob
from engine.registry.credentials import Credentials
from engine.registry.exchange import Wire
from engine.registry.failures import shown
from engine.registry.hosts import Capability, Host
from engine.registry.messages import Answer
from engine.registry.origin import Fetched
from engine.registry.tokens import Tokens, scope
from engine.registry.uploads import Uploads

MAX_MANIFEST = 4 << 20
MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_ACCEPT = {"Accept": ", ".join((*MANIFEST_TYPES, "*/*"))}
_MAX_PAGES = 1000
_T = TypeVar("_T")

Voice = Callable[[errors.Refusal, Reference], errdefs.WherryError]


class Repository:
    """What a registry has under a name, for one client. Made by `Registry.repository`.

    Hosts are asked in order, mirrors first; what one has not or cannot give is asked of the next, and the last
    one's failure is told. Failures are `errors.Transient` where another try may do.
    """

    def __init__(
        self,
        wire: Wire,
        tokens: Tokens,
        reference: Reference,
        credentials: Credentials | None,
        actions: tuple[str, ...],
        voice: Voice = errors.of_pull,
    ) -> None:
        self.reference = reference
        self._wire = wire
        self._tokens = tokens
        self._credentials = credentials
        self._actions = actions
        self._voice = voice
        self._found: list[Access] | None = None
        self._finding = asyncio.Lock()
        self._gone: set[Access] = set()
        self._secured: set[str] = set()

    async def manifest(self, reference_or_digest: str) -> Fetched:
        """What a tag or a digest names, verified: at most 4 MiB. NotFound and others in Docker's words."""

        async def get(access: Access) -> Fetched:
            url = self._url(access, f"manifests/{reference_or_digest}")
            async with access.ask("GET", url, _ACCEPT) as answer:
                raw = await answer.body(MAX_MANIFEST)
                return _verified(raw, answer, reference_or_digest)

        return await self._first(Capability.PULL, get)

    async def head(self, reference_or_digest: str) -> Fetched:
        """What a tag or a digest names, without its bytes. Errors as of `manifest`."""

        async def look(access: Access) -> Fetched:
            url = self._url(access, f"manifests/{reference_or_digest}")
            try:
                async with access.ask("HEAD", url, _ACCEPT) as answer:
                    told = _told(answer)
            except errors.Refusal as refused:
                if refused.by_token_server:
                    raise
                told = None  # nothing but a GET has a body that says why
            if told is not None:
                return told
            async with access.ask("GET", url, _ACCEPT) as answer:
                found = _verified(await answer.body(MAX_MANIFEST), answer, reference_or_digest)
            return Fetched(b"", found.media_type, found.digest, found.size)

        return await self._first(Capability.RESOLVE, look)

    @asynccontextmanager
    async def blob(self, digest: str, *, offset: int = 0, size: int) -> AsyncIterator[Blob]:
        """A blob of `size` bytes from `offset` on; see `Blob` for where it really begins. Errors as of `manifest`."""
        async with AsyncExitStack() as stack:

            async def get(access: Access) -> Blob:
                url = self._url(access, f"blobs/{digest}")
                try:
                    return await self._opened(access, url, digest, offset, size, stack)
                except errors.Refusal as refused:
                    if refused.status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not offset:
                        raise
                return await self._opened(access, url, digest, 0, size, stack)

            yield await self._first(Capability.PULL, get)

    async def tags(self) -> AsyncIterator[str]:
        """All tags, in the registry's order. Errors as of `manifest`."""
        seen: set[URL] = set()
        path = f"{self.reference.path}/tags/list"

        async def page_of(access: Access, url: URL) -> tuple[list[str], URL | None, Access]:
            seen.add(url)
            async with access.ask("GET", url) as answer:
                names = _names(await answer.body(MAX_MANIFEST))
                following = _next(answer, url)
            return names, None if following in seen or len(seen) >= _MAX_PAGES else following, access

        names, url, access = await self._first(
            Capability.RESOLVE, lambda access: page_of(access, access.url(path))
        )
        while True:
            for name in names:
                yield name
            if url is None:
                return
            try:
                names, url, access = await page_of(access, url)
            except errors.Refusal as refused:
                raise self._voice(refused, self.reference) from None

    async def uploads(self) -> Uploads:
        """The write side, at the first host that takes what is pushed and can be spoken to."""

        async def itself(access: Access) -> Access:
            return access

        return Uploads(await self._first(Capability.PUSH, itself), self.reference.path)

    async def _opened(
        self, access: Access, url: URL, digest: str, offset: int, size: int, stack: AsyncExitStack
    ) -> Blob:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        async with AsyncExitStack() as opening:
            answer = await opening.enter_async_context(access.ask("GET", url, headers))
            blob = Blob(answer, digest, offset, size)
            stack.push_async_exit(opening.pop_all())
        return blob

    def _url(self, access: Access, rest: str) -> URL:
        return access.url(f"{self.reference.path}/{rest}")

    async def _first(self, capability: Capability, attempt: Callable[[Access], Awaitable[_T]]) -> _T:
        """What the first host gives that can."""
        able = [one for one in await self._accesses() if capability in one.host.capabilities]
        failure: errors.Refusal | errdefs.WherryError | None = None
        for access in able:
            last = access is able[-1]
            plain = access.host.scheme == "http" and access.host.netloc in self._secured
            if plain or (access in self._gone and not last):
                continue
            try:
                await self._reach(access)
                return await attempt(access)
            except (errors.Refusal, errdefs.WherryError) as error:
                failure = error
        if isinstance(failure, errors.Refusal):
            raise self._voice(failure, self.reference) from None
        raise failure or errdefs.SystemFailure(
            f"no host is configured to ask for {self.reference.familiar_name}"
        )

    async def _reach(self, access: Access) -> None:
        """Make sure of a host; one that cannot be spoken to is not asked again while there are others."""
        try:
            await access.ready()
        except errdefs.WherryError:
            self._gone.add(access)
            raise
        if access.host.scheme == "https":
            self._secured.add(access.host.netloc)

    async def _accesses(self) -> list[Access]:
        async with self._finding:
            if self._found is None:
                settings = self._wire.settings
                read = directory.reader(settings.certs_directories)
                found = await asyncio.to_thread(hosts.resolve, self.reference.domain, settings, read)
                self._found = [self._access(host) for host in found]
            return self._found

    def _access(self, host: Host) -> Access:
        return Access(
            self._wire,
            self._tokens,
            host,
            self._credentials,
            (scope(self.reference.path, self._actions),),
            placed="push" not in self._actions,
        )


def _verified(raw: bytes, answer: Answer, asked: str) -> Fetched:
    """What was fetched, if it is what was asked for and what the registry itself says that it is."""
    promised = asked if ":" in asked else answer.header("Docker-Content-Digest")
    algorithm = promised.partition(":")[0] if promised else "sha256"
    if algorithm not in ("sha256", "sha384", "sha512"):
        algorithm, promised = "sha256", ""
    digest = f"{algorithm}:{hashlib.new(algorithm, raw).hexdigest()}"
    if promised and digest != promised:
        raise errdefs.SystemFailure(f"manifest verification failed for digest {promised}")
    return Fetched(raw, _media_type(answer), digest, len(raw))


def _told(answer: Answer) -> Fetched | None:
    """What an answer without a body says of a manifest; None if it does not say all."""
    digest, length = answer.header("Docker-Content-Digest"), answer.length
    try:
        validate_digest(digest)
    except errdefs.InvalidArgument:
        return None
    if not length or not _media_type(answer):
        return None
    return Fetched(b"", _media_type(answer), digest, length)


def _media_type(answer: Answer) -> str:
    return answer.header("Content-Type").partition(";")[0].strip()


def _names(body: bytes) -> list[str]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        document = None
    names = (document.get("tags") or []) if isinstance(document, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise errdefs.SystemFailure("unable to decode the registry's list of tags")
    return names


def _next(answer: Answer, url: URL) -> URL | None:
    """The next page by a `Link` header; one of another origin is none of this registry."""
    link = answer.header("Link")
    target, _, parameters = link.partition(";")
    if not link or 'rel="next"' not in parameters.replace("rel=next", 'rel="next"'):
        return None
    try:
        following = url.join(URL(target.strip().strip("<>"), encoded=True))
        same = following.origin() == url.origin()
    except ValueError:
        same = False
    if not same:
        raise errdefs.SystemFailure(f'Get "{shown(url, whole=True)}": the next page is at another place')
    return following
