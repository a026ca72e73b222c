"""Contexts that come as small archives. What is in one is a matter of its bytes: one that was unpacked before is known
by its digest, and is unpacked again only if a step needs its files.
"""

import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator

import msgspec

from engine.build.source import SourceFile

_SMALL = 1 << 20  # bytes that are held in memory while a build goes on
_REMEMBERED = 256  # archives
_DOCKERFILE = 64 << 10  # bytes; those of larger ones are not remembered


class Archive(msgspec.Struct, frozen=True):
    """A whole archive."""

    data: bytes

    @property
    def digest(self) -> str:
        """What names it."""
        return hashlib.sha256(self.data).hexdigest()

    async def chunks(self) -> AsyncIterator[bytes]:
        """It, as it came."""
        yield self.data


async def gathered(chunks: AsyncIterator[bytes]) -> tuple[Archive | None, AsyncIterator[bytes]]:
    """An archive, if it is a small one, and its chunks in any case."""
    head = bytearray()
    async for chunk in chunks:
        head += chunk
        if len(head) > _SMALL:
            return None, _again(bytes(head), chunks)
    archive = Archive(bytes(head))
    return archive, archive.chunks()


async def _again(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in rest:
        yield chunk


class Dockerfiles:
    """Those of archives that were unpacked without a failure, by the archive's digest and the name asked for."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], SourceFile] = OrderedDict()

    def find(self, archive: str, filename: str) -> SourceFile | None:
        """The Dockerfile of such an archive, if it is remembered."""
        found = self._known.get((archive, filename))
        if found is not None:
            self._known.move_to_end((archive, filename))
        return found

    def add(self, archive: str, filename: str, source: SourceFile) -> None:
        """Remember one."""
        if len(source.content) <= _DOCKERFILE:
            self._known[archive, filename] = source
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
