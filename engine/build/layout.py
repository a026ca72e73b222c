"""A layout that the client has (`--build-context name=oci-layout:…`): images come from it as from a registry."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import errdefs
from engine.build.session import Session
from engine.images import config, documents
from engine.images.archive_index import OCI_INDEX
from engine.registry.origin import Chunks, Fetched


class Layout:
    """An `Origin`: a content store of the client's session, in which all is named by its digest."""

    def __init__(self, session: Session, store: str) -> None:
        self._session = session
        self._store = f"oci:{store}"

    async def head(self, digest: str) -> Fetched:
        """See Origin."""
        return await self.manifest(digest)

    async def manifest(self, digest: str) -> Fetched:
        """See Origin. InvalidArgument for what is not what its name says."""
        raw = bytearray()
        async with aclosing(self._read(digest, documents.MAX_BYTES)) as chunks:
            async for chunk in chunks:
                raw += chunk
        found = bytes(raw)
        if config.digest_of(found) != digest:
            raise errdefs.InvalidArgument(f"{digest} of the layout is other content")
        return Fetched(found, await documents.off_loop(_type_of, found), digest, len(found))

    @asynccontextmanager
    async def blob(self, digest: str, *, offset: int = 0, size: int) -> AsyncIterator[Chunks]:
        """See Origin: from its beginning."""
        del offset
        async with aclosing(self._read(digest, size)) as chunks:
            yield _Whole(chunks)

    async def _read(self, digest: str, most: int) -> AsyncGenerator[bytes, None]:
        size = 0
        async for chunk in await self._session.read_content(self._store, digest):
            size += len(chunk)
            if size > most:
                raise errdefs.InvalidArgument(f"{digest} of the layout is larger than {most} bytes")
            yield chunk


class _Whole:
    offset = 0

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks


def _type_of(raw: bytes) -> str:
    """The type that a document gives itself, or that of an index if it has manifests."""
    document = documents.decode(raw, "image manifest")
    if not isinstance(document, dict):
        return ""
    return str(document.get("mediaType") or (OCI_INDEX if "manifests" in document else ""))
