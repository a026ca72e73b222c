"""The write side of a repository: what is there, blobs to be sent, manifests."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus

from yarl import URL

import errdefs
from engine.registry import errors
from engine.registry.access import Access
from engine.registry.messages import Body
from engine.registry.upload import Content, Upload


class Uploads:
    """A repository at the one host that takes what is pushed. Made by `Repository.uploads`.

    Failures are of `errors.of_push`, Transient where another try may do.
    """

    def __init__(self, access: Access, path: str) -> None:
        self._access = access
        self._path = path

    async def exists(self, digest: str) -> bool:
        """Whether the repository has a blob, as far as it tells: a refusal here is none of what will be sent."""
        try:
            async with self._access.ask("HEAD", self._url(f"blobs/{digest}")):
                return True
        except errors.Refusal as refused:
            if refused.by_token_server or refused.status == HTTPStatus.TOO_MANY_REQUESTS:
                raise errors.of_push(refused) from None
            return False

    def upload(self, content: Content, sources: Sequence[str]) -> Upload:
        """A blob to be sent, unless it can be mounted from one of these repositories of the registry."""
        return Upload(self._access, self._url("blobs/uploads/"), content, sources)

    async def put_manifest(self, tag_or_digest: str, raw: bytes, media_type: str) -> None:
        """Put a manifest whose blobs are there. SystemFailure if the registry has taken it for another one."""
        digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        url = self._url(f"manifests/{tag_or_digest}")
        try:
            async with self._access.ask(
                "PUT", url, {"Content-Type": media_type}, body=Body(len(raw), lambda: _once(raw))
            ) as answer:
                taken = answer.header("Docker-Content-Digest")
        except errors.Refusal as refused:
            raise errors.of_push(refused) from None
        if taken.startswith("sha256:") and taken != digest:
            raise errdefs.SystemFailure(f"manifest verification failed for digest {digest}")

    def _url(self, rest: str) -> URL:
        return self._access.url(f"{self._path}/{rest}")


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
