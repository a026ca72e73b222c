"""Compressed archives as they flow by: gzip, bzip2, xz or zstd by their first bytes, or plain. No file is touched."""

import bz2
import lzma
from collections.abc import Iterator
from typing import Protocol

import zstandard
from isal import igzip_lib

import errdefs
from runtime.layers.decompress import XZ_BESIDE, detect
from runtime.layers.limits import DEFAULT, WINDOW, Limits
from runtime.layers.windows import too_large
from runtime.layers.zstd import SKIPPABLE, block_size, checksum_size, header_size

PIECE = 1 << 20  # bytes that come out at once, at most
HEAD = 6  # bytes that tell how the others are compressed
MEMBER = 1 << 10  # bytes of a member in which its window is told
_FAULTS: tuple[type[Exception], ...] = (  # type: ignore[assignment]  # the stub has an instance there
    OSError,
    EOFError,
    ValueError,
    lzma.LZMAError,
    zstandard.ZstdError,
    igzip_lib.IsalError,
)


class _Codec(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class Decompression:
    """One stream. Feed it all bytes in order, then call `finish`. Members may follow one another."""

    def __init__(self, limits: Limits = DEFAULT) -> None:
        self._limits = limits
        self._head = bytearray()
        self._kind: str | None = None
        self._codec: _Codec | None = None
        self._member = b""  # the first bytes of what is being unpacked
        self._taken = 0
        self._given = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the next bytes unpack to, in pieces. InvalidArgument for a broken stream or a bomb."""
        if self._kind is None:
            self._head += data
            if len(self._head) < HEAD:
                return
            data = self._begin()
        yield from self._pieces(data)

    def finish(self) -> Iterator[bytes]:
        """What is left at the end. InvalidArgument if the stream is cut off."""
        if self._kind is None and self._head:
            yield from self._pieces(self._begin())
        if self._codec is not None:
            raise errdefs.InvalidArgument("invalid archive: unexpected EOF")

    def _begin(self) -> bytes:
        self._kind = detect(bytes(self._head))
        head, self._head = bytes(self._head), bytearray()
        return head

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        if not self._kind:
            yield data
            return
        self._taken += len(data)
        try:
            for piece in self._unpack(data):
                self._given += len(piece)
                self._require_bounded()
                yield piece
        except _FAULTS as error:
            told = too_large(error, self._kind, self._member) or f"{self._kind}: {error}"
            raise errdefs.InvalidArgument(f"invalid archive: {told}") from None

    def _require_bounded(self) -> None:
        limits = self._limits
        if self._given > limits.size:
            raise errdefs.InvalidArgument(f"invalid archive: it unpacks to more than {limits.size} bytes")
        if self._given > limits.ratio_free and self._given > self._taken * limits.ratio:
            raise errdefs.InvalidArgument(
                f"invalid archive: it unpacks to more than {limits.ratio} times its size"
            )

    def _unpack(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._codec is None:
                data = data.lstrip(b"\0")  # padding between and after members, as tapes have it
                if not data:
                    return
                self._codec = _codec(self._kind or "")
                self._member = data[:MEMBER]
            yield self._codec.decompress(data, PIECE)
            while not self._codec.needs_input and not self._codec.eof:
                yield self._codec.decompress(b"", PIECE)
            data = b""
            if self._codec.eof:
                data, self._codec = self._codec.unused_data, None


class _Zstd:
    """zstandard's object with the bounded calls of the others: it is fed block by block, each of 128 KiB at most.

    Four bytes may be a block, so that any fixed number of bytes would come to a thousand times as much.
    """

    def __init__(self) -> None:
        self._object = zstandard.ZstdDecompressor(max_window_size=WINDOW).decompressobj()
        self._waiting = b""
        self._at = 0
        self._left = 0  # bytes to come of what is being fed
        self._descriptor: int | None = None  # of the frame whose blocks come
        self._starved = False

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def needs_input(self) -> bool:
        return self._starved or self._at == len(self._waiting)

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data + self._waiting[self._at :]

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        del max_length
        if data:
            self._waiting, self._at = self._waiting[self._at :] + data, 0
        if not self._left:
            self._left = self._next()
        piece = self._waiting[self._at : self._at + self._left]
        self._starved = not piece
        self._at += len(piece)
        self._left -= len(piece)
        return self._object.decompress(piece) if piece else b""

    def _next(self) -> int:
        """Bytes of the header or block that comes next, 0 when too little is here to tell."""
        head = self._waiting[self._at : self._at + 8]
        if self._descriptor is not None:
            if len(head) < 3:
                return 0
            return block_size(head[:3]) + (checksum_size(self._descriptor) if head[0] & 1 else 0)
        if len(head) < 8:
            return 0
        if head[1:4] == SKIPPABLE:
            return 8 + int.from_bytes(head[4:8], "little")
        self._descriptor = head[4]
        return header_size(head[4])


def _codec(kind: str) -> _Codec:
    if kind == "gzip":
        gzip: _Codec = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        return gzip
    if kind == "bzip2":
        return bz2.BZ2Decompressor()
    if kind == "xz":
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=WINDOW + XZ_BESIDE)
    return _Zstd()
