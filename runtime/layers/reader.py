"""A tar archive as a stream of entries: one pass, no seeks, bounded memory."""

import os
from collections.abc import Iterator
from contextlib import suppress

from errdefs import InvalidArgument
from runtime.layers import sparse
from runtime.layers.decompress import CHUNK
from runtime.layers.header import BLOCK, Header, pax_records

_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK, _VOLUME = b"x", b"g", b"L", b"K", b"V"
_EXTENSIONS = (_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK)
_MAX_EXTENSION = 1 << 20  # as in Go's archive/tar
_ZEROS = bytes(BLOCK)
_MANY_ZEROS = bytes(CHUNK)


class Source:
    """Exact reads from an iterator of chunks; `position` counts the bytes taken."""

    __slots__ = ("_at", "_chunk", "_chunks", "_view", "position")

    def __init__(self, chunks: Iterator[bytes]) -> None:
        """Read from `chunks`, none of which is empty."""
        self._chunks = chunks
        self._chunk = b""
        self._view = memoryview(b"")  # of the chunk, to be sliced without a copy
        self._at = 0
        self.position = 0

    def take(self, count: int) -> bytes:
        """Return `count` bytes, or none at the end of the stream; InvalidArgument when it ends in between."""
        end = self._at + count
        if end > len(self._chunk):
            self._gather(count)
            end = self._at + count
            if not self._chunk and count:
                return b""
        data = self._chunk[self._at : end]
        self._at = end
        self.position += count
        return data

    def exactly(self, count: int) -> bytes:
        """Return `count` bytes; InvalidArgument when there are less."""
        data = self.take(count)
        if len(data) < count:
            raise InvalidArgument("the archive is truncated")
        return data

    def _gather(self, count: int) -> None:
        parts = [self._chunk[self._at :]]
        have = len(parts[0])
        while have < count and (chunk := next(self._chunks, None)) is not None:
            parts.append(chunk)
            have += len(chunk)
        if 0 < have < count:
            raise InvalidArgument("the archive is truncated")
        self._take_up(b"".join(parts))

    def _take_up(self, chunk: bytes) -> None:
        self._chunk = chunk
        self._view = memoryview(chunk)
        self._at = 0

    def copy(self, fd: int, count: int) -> None:
        """Write the next `count` bytes to a descriptor, as they come. Whole chunks of zeros become holes: a bomb of
        them takes no disk.
        """
        self.position += count
        end = self._at + count
        if self._at and end <= len(self._chunk):  # as of most files
            while self._at < end:
                self._at += os.write(fd, self._view[self._at : end])
            return
        hole = False
        while count:
            if self._at == len(self._chunk):
                self._next()
            hole = not self._at and count >= len(self._chunk) and self._chunk == _MANY_ZEROS
            if hole:
                written = len(self._chunk)
                os.lseek(fd, written, os.SEEK_CUR)
            else:
                written = os.write(fd, self._view[self._at : self._at + count])
            self._at += written
            count -= written
        if hole:
            os.ftruncate(fd, os.lseek(fd, 0, os.SEEK_CUR))

    def skip(self, count: int) -> None:
        """Pass over the next `count` bytes."""
        self.position += count
        while count:
            if self._at == len(self._chunk):
                self._next()
            step = min(count, len(self._chunk) - self._at)
            self._at += step
            count -= step

    def pad(self, count: int) -> None:
        """Pass over the padding after a file's bytes, which may be missing at the end of the stream: the docker CLI
        sends such archives where it adds a Dockerfile, and Go's reader takes them.
        """
        self.position += count
        while count and (self._at < len(self._chunk) or self._more()):
            step = min(count, len(self._chunk) - self._at)
            self._at += step
            count -= step

    def _next(self) -> None:
        if not self._more():
            raise InvalidArgument("the archive is truncated")

    def _more(self) -> bool:
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        self._take_up(chunk)
        return True

    def drain(self) -> None:
        """Read to the end: what follows an archive still counts for its digest."""
        for _ in self._chunks:
            pass


def entries(source: Source, limit: int) -> Iterator[Header]:
    """Yield the archive's entries, at most `limit`; of each, `size` bytes may be read from `source` meanwhile.

    What is left of them is skipped. A sparse file's bytes are those of its extents, one after the other.
    """
    count = 0
    while (header := _next_entry(source)) is not None:
        count += 1
        if count > limit:
            raise InvalidArgument(f"the archive has more than {limit} entries")
        padding = -header.size % BLOCK
        end = source.position + header.size
        if header.type != _VOLUME:
            yield header
        if source.position != end:
            source.skip(end - source.position)
        if padding:
            source.pad(padding)


def _next_entry(source: Source) -> Header | None:
    """Return the next header with its extensions applied, None at the end of the archive."""
    header = _header(source)
    if header is None:
        return None
    if header.type in _EXTENSIONS:
        return _extended(source, header)
    if header.extents is not None:
        _apply_sparse(source, header, [])
    header.settle()
    return header


def _header(source: Source) -> Header | None:
    block = source.take(BLOCK)
    return Header(block) if block and block != _ZEROS else None


def _extended(source: Source, first: Header) -> Header | None:
    """Return the header that extensions, of which this is the first one, are for."""
    records: list[tuple[bytes, bytes]] = []
    name = link = None
    header: Header | None = first
    while header is not None and header.type in _EXTENSIONS:
        data = _extension(source, header)
        if header.type == _PAX:
            records = pax_records(data)
        elif header.type == _LONG_NAME:
            name = data.partition(b"\0")[0]
        elif header.type == _LONG_LINK:
            link = data.partition(b"\0")[0]
        # Global records carry comments of git; Docker ignores them too.
        header = _header(source)
    if header is None:
        return None
    header.name = name if name is not None else header.name
    header.link = link if link is not None else header.link
    if records:
        header.apply(records)
    if sparse.is_sparse(header, records):
        _apply_sparse(source, header, records)
    header.settle()
    return header


def _extension(source: Source, header: Header) -> bytes:
    if not 0 <= header.size <= _MAX_EXTENSION:
        raise InvalidArgument("malformed tar archive: an extended header is too large")
    return source.exactly(header.size + -header.size % BLOCK)[: header.size]


def _apply_sparse(source: Source, header: Header, records: list[tuple[bytes, bytes]]) -> None:
    blocks = sparse.complete(header, records)
    with suppress(StopIteration):
        next(blocks)
        while block := source.take(BLOCK):
            blocks.send(block)
        raise InvalidArgument("the archive is truncated")
