"""A tar archive as it flows by: bytes in, members and their data out; no file is touched, nothing is kept."""

from collections.abc import Iterator

import msgspec

import errdefs
from runtime.layers import sparse
from runtime.layers.header import BLOCK, HARD_LINK, REGULAR, SYMLINK, Header, pax_records, spans

_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK = b"x", b"g", b"L", b"K"
_EXTENDED = (_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK)
_MAX_EXTENDED = 1 << 20  # bytes, as in Go's archive/tar
_MAX_HOLES = 8 << 30
"""Bytes of zeros that sparse members may have together: as many as may come of a few compressed bytes."""
_ZEROS = bytes(BLOCK)
_HOLE = memoryview(bytes(256 << 10))


class Member(msgspec.Struct, frozen=True):
    """The head of a member. `size` bytes of data follow it, 0 unless it is a regular file; holes come as zeros."""

    name: str
    kind: bytes
    target: str
    size: int

    @property
    def regular(self) -> bool:
        """Whether it is a file with data."""
        return self.kind == REGULAR

    @property
    def hard_link(self) -> bool:
        """Whether it is a second name of a member; `target` counts from the archive's root."""
        return self.kind == HARD_LINK

    @property
    def symlink(self) -> bool:
        """Whether it is a symbolic link; `target` counts from its own directory."""
        return self.kind == SYMLINK


class TarStream:
    """Splits one archive. Feed it all bytes in order, then call `finish`."""

    def __init__(self) -> None:
        self._pending = bytearray()  # of a header, or of an extended header's data
        self._wanted = BLOCK
        self._extended = b""  # type of the extended header whose data is being collected
        self._left = 0  # data bytes still to come of the current part of the member
        self._parts: Iterator[tuple[int, int]] = iter(())  # those to come: zeros, and data bytes after them
        self._holes = 0
        self._padding = 0
        self._names: dict[bytes, bytes] = {}  # GNU's long names for the next member
        self._records: list[tuple[bytes, bytes]] = []  # pax records for the next member
        self._map: sparse.Blocks | None = None  # what completes the header of a sparse member
        self._ended = False

    def feed(self, data: bytes) -> Iterator[Member | memoryview]:
        """Take the next bytes: the members that begin in them, each followed by pieces of its data.

        InvalidArgument for what is no tar. What follows the end of the archive is passed over.
        """
        view = memoryview(data)
        while view and not self._ended:
            if self._left:
                piece, view = view[: self._left], view[self._left :]
                self._left -= len(piece)
                yield piece
                yield from self._go_on()
            elif self._padding:
                skipped = min(self._padding, len(view))
                self._padding -= skipped
                view = view[skipped:]
            else:
                missing = self._wanted - len(self._pending)
                self._pending += view[:missing]
                view = view[missing:]
                if len(self._pending) == self._wanted:
                    yield from self._complete()

    def finish(self) -> None:
        """Say that no more bytes come. InvalidArgument if a member is cut off."""
        if self._left or self._pending or self._extended or self._map:
            raise errdefs.InvalidArgument("invalid archive: unexpected EOF")

    def _go_on(self) -> Iterator[memoryview]:
        """The zeros before the next data of the member, or at its end."""
        while not self._left and (part := next(self._parts, None)) is not None:
            zeros, self._left = part
            while zeros:
                yield (piece := _HOLE[:zeros])
                zeros -= len(piece)

    def _complete(self) -> Iterator[Member | memoryview]:
        block = bytes(self._pending)
        self._pending.clear()
        self._wanted = BLOCK
        if self._extended:
            self._take_extended(block)
        elif self._map is not None:
            yield from self._take_map(self._map, block)
        elif block == _ZEROS:
            self._ended = True
        else:
            yield from self._take_header(Header(block))

    def _take_header(self, header: Header) -> Iterator[Member | memoryview]:
        if header.type in _EXTENDED:
            if not 0 < header.size <= _MAX_EXTENDED:
                raise errdefs.InvalidArgument("malformed tar archive: an extended header is too large")
            self._extended, self._wanted = header.type, header.size
            return
        header.name = self._names.get(_LONG_NAME, header.name)
        header.link = self._names.get(_LONG_LINK, header.link)
        header.apply(self._records)
        if sparse.is_sparse(header, self._records):
            self._map = sparse.complete(header, self._records)
            yield from self._take_map(self._map, None)
        else:
            yield from self._begin(header)

    def _take_map(self, blocks: sparse.Blocks, block: bytes | None) -> Iterator[Member | memoryview]:
        """Take the next block of a sparse member's map, None to begin; the member follows the last one."""
        try:
            next(blocks) if block is None else blocks.send(block)
        except StopIteration as complete:
            self._map, header = None, complete.value
            self._holes += max(0, header.real_size - header.size)
            if self._holes > _MAX_HOLES:
                raise errdefs.InvalidArgument(
                    f"invalid archive: its sparse files have holes of more than {_MAX_HOLES} bytes"
                ) from None
            yield from self._begin(header)

    def _begin(self, header: Header) -> Iterator[Member | memoryview]:
        header.settle()
        self._names, self._records = {}, []
        self._padding = -header.size % BLOCK
        size = header.size if header.extents is None else header.real_size
        yield Member(_text(header.name), header.type, _text(header.link), size)
        self._parts = _parts(header)
        yield from self._go_on()

    def _take_extended(self, data: bytes) -> None:
        kind, self._extended = self._extended, b""
        self._padding = -len(data) % BLOCK
        if kind == _PAX:
            self._records = pax_records(data)
        elif kind != _PAX_GLOBAL:  # global records carry comments; Docker ignores them too
            self._names[kind] = data.partition(b"\0")[0]


def _parts(header: Header) -> Iterator[tuple[int, int]]:
    """A member's data as it lies in the archive: so many zeros that are not there, so many bytes that are."""
    if header.extents is None:
        yield 0, header.size
        return
    at = 0
    for offset, length in spans(header.extents):
        yield offset - at, length
        at = offset + length
    yield header.real_size - at, 0


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
